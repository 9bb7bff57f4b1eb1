"""Moves batches to the device: on CUDA by a stream of their own, while the device computes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

MEMORY_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
"""By number of dimensions: (B, C, H, W) and (B, C, D, H, W), and the weights of their convolutions."""


def in_channels_last(tensor: Tensor) -> Tensor:
    """The same values with the channels next to each other in memory, if the tensor has 4 or 5 dimensions."""
    memory_format = MEMORY_FORMATS.get(tensor.dim())
    return tensor if memory_format is None else tensor.contiguous(memory_format=memory_format)


def to_device(batch: Mapping[str, Any], device: torch.device, *, channels_last: bool = False) -> dict[str, Any]:
    """The batch with all tensors on a device. Does not wait for the device.

    On CUDA, the copies are queued in a stream of their own. They run while the device still computes what was queued
    before. What is queued afterwards waits for them on the device.

    Args:
        channels_last: Whether tensors of 4 or 5 dimensions get this memory format.
    """
    if device.type == "cpu" and not channels_last:
        return dict(batch)
    if device.type == "cuda":
        return _copied(batch, device, copy_stream(device), channels_last=channels_last)
    return {key: _moved(value, device, channels_last=channels_last) for key, value in batch.items()}


def _moved(value: Any, device: torch.device, *, channels_last: bool) -> Any:
    if not isinstance(value, Tensor):
        return value
    moved = value.to(device, non_blocking=True)
    return in_channels_last(moved) if channels_last else moved


def in_pinned_memory(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The batch with its tensors in pinned memory."""
    return {key: value.pin_memory() if isinstance(value, Tensor) else value for key, value in batch.items()}


@cache
def copy_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream of all copies to a device. One for each device, so that memory is reused."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch


def _copied(batch: Mapping[str, Any], device: torch.device, stream: Any, *, channels_last: bool) -> dict[str, Any]:
    # A copy from memory that is not pinned would make this process wait.
    pinned = in_pinned_memory(batch)
    computing = torch.cuda.current_stream(device)
    with torch.cuda.stream(stream):
        moved = {key: _moved(value, device, channels_last=channels_last) for key, value in pinned.items()}
    computing.wait_stream(stream)
    for value in moved.values():
        if isinstance(value, Tensor):
            value.record_stream(computing)  # Its memory is not reused before what has been queued so far is done.
    return moved
