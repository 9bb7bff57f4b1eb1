"""What checkpoints leave out of networks: tensors that are as they were when the network was built.

A later run builds them again, from the same weights or the same seed. So that it does not continue with others, a
checkpoint contains a hash of each of them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.engine.real_view import real_view
from artschool.engine.shard_files import part_of
from artschool.errors import CheckpointError

Saved = Literal[False, "trained"]
Hashes = dict[str, str]
"""Type, shape and a hash of the values of tensors, by name."""

_BASE = 6364136223846793005
_CHUNK = 1 << 18
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Unsaved:
    """The tensors that checkpoints leave out of a network or of its average.

    Args:
        module: The network as it was built, before anything is restored.
        trained: The parameters that steps train, by name. They are always saved.
        saved: False: nothing of the network may change. `trained`: what has changed is saved.
        path: Path of the network in the config file, for errors.
    """

    def __init__(self, module: nn.Module, trained: Collection[str], saved: Saved, path: str) -> None:
        self._saved, self._path = saved, path
        state = module.state_dict()
        self._built = hashes({name: state[name] for name in state if name not in trained and _is_dense(state[name])})

    def take_from(self, tensors: dict[str, Tensor]) -> Hashes:
        """Remove what is left out from the tensors of a checkpoint, and return its hashes. Waits for the device.

        Raises:
            CheckpointError: A tensor has changed, and nothing of the network is to be saved.
        """
        now = hashes({name: tensors[name] for name in self._built if name in tensors})
        same = {name: found for name, found in now.items() if found == self._built[name]}
        changed = [name for name in tensors if name not in same]
        if changed and self._saved is False:
            raise CheckpointError(
                f"{self._path}: {changed[0]!r} has changed since the network was built, although the file says "
                "`saved: false`. Fix: write `saved: trained`, which saves what changes"
            )
        for name in same:
            del tensors[name]
        return same


def _is_dense(value: object) -> bool:
    """Whether a checkpoint can contain a value. Others are left to the save, which reports them."""
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta


def first_other(module: nn.Module, left_out: Mapping[str, str]) -> str | None:
    """The first tensor that a checkpoint has left out and that is missing or another one in a module. None: none is."""
    state = module.state_dict()
    now = hashes({name: state[name] for name in left_out if name in state})
    return next((name for name, found in left_out.items() if now.get(name) != found), None)


@torch.no_grad()
def hashes(tensors: Mapping[str, Tensor]) -> Hashes:
    """A hash of each tensor, the same on every device and for any number of processes.

    Every process must call this if a tensor is sharded. Each computes what its part adds; nothing is gathered.
    """
    numbers = torch.tensor([], dtype=torch.int64)
    if tensors:
        numbers = torch.stack([_added_by_part(tensor).cpu() for tensor in tensors.values()])
    divided = torch.tensor([ranks.is_sharded(tensor) for tensor in tensors.values()], dtype=torch.bool)
    if divided.any():
        sums = numbers[divided]
        ranks.sum_in_place([sums])
        numbers[divided] = sums
    return {
        name: f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)} {number % 2**64:016x}"
        for (name, tensor), number in zip(tensors.items(), numbers.tolist(), strict=True)
    }


def _added_by_part(tensor: Tensor) -> Tensor:
    """The summand of this process in the hash of a tensor."""
    if not ranks.is_sharded(tensor):
        return _hash(tensor, 0, tensor.numel())
    if (part := part_of(tensor)) is None:
        return torch.zeros((), dtype=torch.int64)
    values, place = part
    return _hash(values, place.offsets[0] * math.prod(place.shape[1:]), tensor.numel())


def _hash(tensor: Tensor, first: int, count: int) -> Tensor:
    """The sum of all elements, as integers, times odd numbers that depend on their positions, modulo 2^64.

    Integers have no order of summation, so that any device computes the same. Another value of one element always
    gives another sum.

    Args:
        tensor: The elements from number `first` on, of `count` elements.
    """
    real = real_view(tensor).resolve_neg()
    bits = real.contiguous().reshape(-1).view(_INTEGERS[real.itemsize])
    width = 2 if tensor.is_complex() else 1
    position, chunks = first * width, -(-count * width // _CHUNK)
    total = torch.zeros((), dtype=torch.int64, device=tensor.device)
    for part in _chunks(bits, position):
        chunk, offset = divmod(position, _CHUNK)
        factor = pow(_BASE, chunks - 1 - chunk, 2**64)
        sums = (part * _factors(tensor.device)[offset : offset + part.numel()]).sum()
        total += sums * (factor - 2**64 if factor >= 2**63 else factor)
        position += part.numel()
    return total


def _chunks(bits: Tensor, position: int) -> Sequence[Tensor]:
    """Elements, the first of which has a position in a tensor, divided where a chunk of the tensor ends."""
    head = min(-position % _CHUNK, bits.numel())
    return [part for part in (bits[:head], *torch.split(bits[head:], _CHUNK)) if part.numel()]


@cache
def _factors(device: torch.device) -> Tensor:
    """Odd numbers with the bits of a position mixed, as in SplitMix64."""
    mixed = torch.arange(1, _CHUNK + 1, device=device) * -7046029254386353131
    return (mixed ^ (mixed >> 29)) * -4658895280553007687 | 1
