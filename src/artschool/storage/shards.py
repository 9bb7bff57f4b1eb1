"""Tensors that are divided among files, one file for each process: `<stem>.shard-<rank>.safetensors`.

The header of each file says where its parts lie in the whole tensors, as torch.distributed.checkpoint writes it: its
`HuggingFaceStorageReader` reads these files as well. `shape`, the shape of the whole tensor, is added.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, TypeAdapter
from safetensors import safe_open
from safetensors.torch import load
from torch import Tensor

from artschool.storage.mapped import map_tensors, release

_INFO, _OFFSETS, _SHAPE = "DCP_SHARDING_INFO", "saved_offsets", "shape"
_INDICES = TypeAdapter(list[Annotated[int, Field(strict=True, ge=0)]])
_FILE = re.compile(r"(?P<stem>.+)\.shard-\d{5,}\.safetensors")


@dataclass(frozen=True)
class Place:
    """Where a part lies: the index of its first element in the whole tensor, and the shape of that tensor."""

    offsets: tuple[int, ...]
    shape: tuple[int, ...]


class Shards:
    """A tensor whose parts are in several files.

    Args:
        shape: Shape of the whole tensor.
        parts: The offsets and the values of each part.
    """

    def __init__(self, shape: Sequence[int], parts: Sequence[tuple[Sequence[int], Tensor]]) -> None:
        self.shape = torch.Size(shape)
        self.dtype = parts[0][1].dtype
        self._parts = parts

    def region(self, offsets: Sequence[int], sizes: Sequence[int]) -> Tensor:
        """The values of a region, in new memory of the CPU."""
        result = torch.empty(tuple(sizes), dtype=self.dtype)
        for own, values in self._parts:
            starts = [max(a, b) for a, b in zip(offsets, own, strict=True)]
            stops = [min(a + m, b + n) for a, m, b, n in zip(offsets, sizes, own, values.shape, strict=True)]
            if all(start < stop for start, stop in zip(starts, stops, strict=True)):
                result[_slices(starts, stops, offsets)] = values[_slices(starts, stops, own)]
                release(values)
        return result

    def whole(self) -> Tensor:
        """All values, in new memory of the CPU."""
        return self.region([0] * len(self.shape), self.shape)


Saved = Tensor | Shards
"""A tensor of a checkpoint."""


@torch.no_grad()
def copy_into(target: Tensor, value: Saved) -> None:
    """Give a tensor, on any device, the values of a tensor of a checkpoint."""
    target.copy_(value.whole() if isinstance(value, Shards) else value)
    if isinstance(value, Tensor):
        release(value)


def whole(value: Saved) -> Tensor:
    """The values of a tensor of a checkpoint, in new memory of the CPU."""
    return region(value, [0] * len(value.shape), value.shape)


def region(value: Saved, offsets: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """The values of a region of a tensor of a checkpoint, in new memory of the CPU. Nothing else of it is read."""
    parts = value if isinstance(value, Shards) else Shards(value.shape, [([0] * value.dim(), value)])
    return parts.region(offsets, sizes)


def shard_stem(stem: str, rank: int) -> str:
    """The stem of the file in which a process saves its parts."""
    return f"{stem}.shard-{rank:05d}"


def stem_of(file: str) -> str | None:
    """The inverse of `shard_stem`, from the name of the file. None: the file has whole tensors."""
    match = _FILE.fullmatch(file)
    return match["stem"] if match else None


def shard_files(file: Path) -> list[Path]:
    """The files among which the tensors of `<stem>.safetensors` are divided. `file` may be one of them."""
    stem = stem_of(file.name) or file.name.removesuffix(".safetensors")
    return sorted(path for path in file.parent.glob("*.safetensors") if stem_of(path.name) == stem)


def header(places: Mapping[str, Place]) -> dict[str, str]:
    """What the header of a file says about its parts."""
    return {_INFO: json.dumps({name: {_OFFSETS: place.offsets, _SHAPE: place.shape} for name, place in places.items()})}


def read_tensors(file: Path, *, mapped: bool) -> dict[str, Tensor]:
    """The tensors of a file, read now or, if they are mapped into memory, when they are used."""
    return map_tensors(file) if mapped else load(file.read_bytes())


def join(files: Iterable[Path], *, mapped: bool) -> tuple[dict[str, Tensor], dict[str, Shards]]:
    """The tensors of all files of a stem: those that are whole in one of them, and the others.

    Args:
        mapped: As for `read_tensors`.

    Raises:
        ValueError, KeyError, TypeError, SafetensorError: A file is damaged, or a part is missing.
    """
    parts: dict[str, list[tuple[list[int], Tensor]]] = {}
    shapes: dict[str, list[int]] = {}
    for file in files:
        with safe_open(file, framework="pt") as opened:
            info = json.loads((opened.metadata() or {})[_INFO])
        for name, values in read_tensors(file, mapped=mapped).items():
            offsets, shape = (
                _INDICES.validate_python(info[name][_OFFSETS]),
                _INDICES.validate_python(info[name][_SHAPE]),
            )
            own = parts.setdefault(name, [])
            own.append((offsets, values))
            _check_part(name, own, shape, shapes.setdefault(name, shape))
    whole: dict[str, Tensor] = {}
    divided: dict[str, Shards] = {}
    for name, own in parts.items():
        found, expected = sum(values.numel() for _, values in own), math.prod(shapes[name])
        if found != expected:
            raise ValueError(f"{name}: parts are missing (expected {expected} elements, got {found})")
        if len(own) == 1:
            whole[name] = own[0][1]
        else:
            divided[name] = Shards(shapes[name], own)
    return whole, divided


def _check_part(name: str, parts: Sequence[tuple[list[int], Tensor]], shape: list[int], first: list[int]) -> None:
    """Refuse a last part that does not lie in the tensor, is of another tensor, or is one of the others."""
    offsets, values = parts[-1]
    fits = len(offsets) == len(shape) == values.dim() and all(
        offset + size <= end for offset, size, end in zip(offsets, values.shape, shape, strict=True)
    )
    is_new = all(offsets != other for other, _ in parts[:-1])
    if not fits or shape != first or values.dtype != parts[0][1].dtype or not is_new:
        raise ValueError(f"{name}: a part does not fit the others")


def _slices(starts: Sequence[int], stops: Sequence[int], origin: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(start - zero, stop - zero) for start, stop, zero in zip(starts, stops, origin, strict=True))
