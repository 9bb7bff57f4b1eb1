"""Stand-ins for data: samples of zeros, with the shapes that the file gives, and batches of another size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from artschool.data.collate import size_of
from artschool.registry.entries import ExampleEntry


@dataclass
class Examples:
    """A data set without data.

    Args:
        entries: What a sample holds, by key.
    """

    entries: Mapping[str, ExampleEntry | list[int]]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {key: _zeros(entry) for key, entry in self.entries.items()}

    def __len__(self) -> int:
        return 1 << 20


def _zeros(entry: ExampleEntry | list[int]) -> Tensor:
    entry = ExampleEntry(shape=entry) if isinstance(entry, list) else entry
    return torch.zeros(entry.shape, dtype=getattr(torch, entry.dtype))


def resized(batch: Mapping[str, Any], size: int) -> dict[str, Any]:
    """The samples of a batch, repeated or cut to another number of them. What belongs to no sample stays."""
    count = size_of(batch)
    indices = [index % count for index in range(size)]

    def one(value: Any) -> Any:
        if isinstance(value, Tensor) and value.dim() > 0 and len(value) == count:
            return value[torch.tensor(indices)]
        if isinstance(value, list) and len(value) == count:
            return [value[index] for index in indices]
        return value

    return {key: one(value) for key, value in batch.items()}
