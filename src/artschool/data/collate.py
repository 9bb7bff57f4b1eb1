"""Samples to a batch, and a batch to micro-batches. Every entry survives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from artschool.errors import DataError


def collate(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Stack tensors, arrays and numbers of equal shape along a new first dimension; other entries become lists.

    Raises:
        DataError: Samples have different keys, or tensors of different shapes under one key.
    """
    first = samples[0]
    if not isinstance(first, Mapping):
        raise DataError(f"a data set yields mappings of keys to values, found {type(first).__name__}")
    for sample in samples:
        if sample.keys() != first.keys():
            differing = ", ".join(sorted(sample.keys() ^ first.keys()))
            raise DataError(f"samples of one batch have different keys: {differing} are not in all")
    return {key: _stack(key, [sample[key] for sample in samples]) for key in first}


def _stack(key: str, values: list[Any]) -> Any:
    if isinstance(values[0], np.ndarray | np.generic):
        values = [torch.from_numpy(np.asarray(value)) for value in values]
    if isinstance(values[0], bool | int | float):
        return torch.tensor(values)
    if not isinstance(values[0], Tensor):
        return values
    try:
        return torch.stack(values)
    except (RuntimeError, TypeError) as error:
        listing = ", ".join(sorted({str(tuple(value.shape)) for value in values if isinstance(value, Tensor)}))
        raise DataError(f"{key!r} does not stack to one tensor: shapes {listing}; crop or pad them") from error


def size_of(batch: Mapping[str, Any]) -> int:
    """The number of samples in a batch."""
    return next((len(value) for value in batch.values() if isinstance(value, list) or _has_samples(value)), 1)


def _has_samples(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0


def micro_batches(batch: Mapping[str, Any], count: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Cut a batch into at most `count` parts whose sizes differ by one at most.

    Yields:
        Each part with its number of samples. Tensors and lists as long as the batch are cut; the rest goes to all.
    """
    size = size_of(batch)
    if count == 1:
        yield dict(batch), size
        return
    count = min(count, size)
    start = 0
    for index in range(count):
        stop = (index + 1) * size // count
        yield {key: _cut(value, size, start, stop) for key, value in batch.items()}, stop - start
        start = stop


def _cut(value: Any, size: int, start: int, stop: int) -> Any:
    if (isinstance(value, list) or _has_samples(value)) and len(value) == size:
        return value[start:stop]
    return value


def to_device(batch: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """The batch with its tensors on a device."""
    if device.type == "cpu":
        return dict(batch)
    return {
        key: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value for key, value in batch.items()
    }
