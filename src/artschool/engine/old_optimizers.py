"""The states of optimizers in checkpoints of DL-Art-School, which number parameters and do not name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from artschool.engine.optimizers import kinds_of
from artschool.errors import CheckpointError

Slots = Mapping[str, Any]
BLOCK_SIZES = (64, 128, 256, 512, 1024, 2048, 4096)


class OldGroup(BaseModel):
    """The numbers of the parameters of a group. A number occurs as often as the optimizer lists the parameter."""

    model_config = ConfigDict(strict=True)
    params: list[int]


class OldOptimizer(BaseModel):
    """What the file has of an optimizer."""

    model_config = ConfigDict(strict=True)
    state: dict[int, dict[str, Any]]
    param_groups: list[OldGroup]

    @property
    def numbers(self) -> list[int]:
        """The number of each parameter, once."""
        return list(dict.fromkeys(chain.from_iterable(group.params for group in self.param_groups)))


def take_step(saved: list[OldOptimizer], networks: Mapping[str, nn.Module], location: str) -> dict[nn.Parameter, Slots]:
    """Remove the optimizers of a step from the front of a list.

    A step has one optimizer, or two that share its parameters: `lamb` and `adamw_zero`.

    Args:
        networks: The networks that the step trains, by name.
        location: Named in errors.

    Returns:
        What the optimizers keep for each parameter. Nothing for those that never moved.

    Raises:
        CheckpointError: There is no optimizer left, or the number of parameters or a shape does not fit.
    """
    total = sum(1 for network in networks.values() for _ in network.parameters())
    both = [len(optimizer.numbers) for optimizer in saved[:2]]
    own = saved[: 2 if len(both) == 2 and both[0] < total == sum(both) else 1]
    del saved[: len(own)]
    order = _order(networks, own)
    numbers = [number for optimizer in own for number in optimizer.numbers]
    if len(order) != len(numbers):
        raise CheckpointError(f"{location}: wrong number of parameters (expected {len(order)}, got {len(numbers)})")
    states = [optimizer.state.get(number, {}) for optimizer in own for number in optimizer.numbers]
    slots = {parameter: _whole(state) for parameter, state in zip(order, states, strict=True)}
    for parameter, values in slots.items():
        for slot, value in values.items():
            if isinstance(value, Tensor) and value.dim() and value.shape != parameter.shape:
                shapes = f"expected {tuple(parameter.shape)}, got {tuple(value.shape)}"
                raise CheckpointError(f"{location}: wrong shape of {slot} ({shapes})")
    return slots


def _order(networks: Mapping[str, nn.Module], optimizers: Sequence[OldOptimizer]) -> list[nn.Parameter]:
    """The parameters in the order of their numbers in the file."""
    if len(optimizers) == 2:
        return [p for are_weights in (False, True) for n in networks.values() for p in _sorted(n, are_weights)]
    if optimizers and len(optimizers[0].param_groups) == 1:
        return [parameter for network in networks.values() for parameter in network.parameters()]
    return [p for n in networks.values() for are_weights in (True, False) for p in _sorted(n, are_weights)]


def _sorted(network: nn.Module, are_weights: bool) -> list[nn.Parameter]:
    """The weights of a network or its other parameters, sorted by name as text. Those of the root are weights."""
    kinds, parameters = kinds_of(network), dict(network.named_parameters())
    names = [name for name in sorted(parameters) if ("." not in name or kinds[name] == "weight") == are_weights]
    return [parameters[name] for name in names]


def _whole(slots: Slots) -> Slots:
    """The slots of an 8-bit optimizer of bitsandbytes in 32 bits, under the names of torch. Others stay."""
    if "state1" not in slots:
        return slots
    moments = {name: _dequantized(slots, number) for number, name in ((1, "exp_avg"), (2, "exp_avg_sq"))}
    return {name: value for name, value in moments.items() if value is not None} | {"step": slots.get("step")}


def _dequantized(slots: Slots, number: int) -> Tensor | None:
    """A moment: codes, of which each block has a scale. Small tensors are not quantized."""
    codes, table, scales = (slots.get(f"{name}{number}") for name in ("state", "qmap", "absmax"))
    scales = slots.get(f"max{number}") if scales is None else scales
    if not isinstance(codes, Tensor) or codes.dtype != torch.uint8:
        return codes
    if not isinstance(table, Tensor) or not isinstance(scales, Tensor):
        return None
    size = next((size for size in BLOCK_SIZES if -(-codes.numel() // size) == scales.numel()), codes.numel())
    by_element = scales.flatten().repeat_interleave(size)[: codes.numel()].view_as(codes)
    return table[codes.long()] * by_element
