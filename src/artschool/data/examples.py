"""Samples of zeros with the shapes of `example:`, for use without the data; batches of another size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from artschool.data.collate import size_of
from artschool.registry.entries import ExampleEntry

LENGTH = 1 << 20
"""The number of samples of a data set without data."""


@dataclass
class Examples:
    """A data set of zeros.

    Args:
        entries: The shape and dtype of each key of a sample.
    """

    entries: Mapping[str, ExampleEntry | list[int]]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {key: _zeros(entry) for key, entry in self.entries.items()}

    def __len__(self) -> int:
        return LENGTH


@dataclass
class Missing:
    """A data set that cannot be built. Asking it for a sample raises the error."""

    error: Exception

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        raise self.error

    def __len__(self) -> int:
        return LENGTH


def _zeros(entry: ExampleEntry | list[int]) -> Tensor:
    entry = ExampleEntry(shape=entry) if isinstance(entry, list) else entry
    return torch.zeros(entry.shape, dtype=getattr(torch, entry.dtype))


def resized(batch: Mapping[str, Any], size: int) -> dict[str, Any]:
    """The batch with `size` samples, which are repeated or cut. Values that do not belong to samples are unchanged."""
    count = size_of(batch)
    indices = [index % count for index in range(size)]

    def one(value: Any) -> Any:
        if isinstance(value, Tensor) and value.dim() > 0 and len(value) == count:
            return value[torch.tensor(indices)]
        if isinstance(value, list) and len(value) == count:
            return [value[index] for index in indices]
        return value

    return {key: one(value) for key, value in batch.items()}
