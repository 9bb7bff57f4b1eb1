"""Data sets have samples by index: `__len__` and `__getitem__`."""

from __future__ import annotations

from typing import Any

from torch.utils.data import Dataset

FIX = "keep its items or their places in a list, and return the item of an index from `__getitem__`"
"""What to write in a class that can only be iterated over."""


def has_samples(dataset: type) -> bool:
    """Whether a class has samples by index. torch's base class has a `__getitem__` that only raises an error."""
    methods: list[Any] = [getattr(dataset, name, None) for name in ("__len__", "__getitem__")]
    return None not in methods and methods[1] is not Dataset.__getitem__


def only_iterates(dataset: type) -> bool:
    """Whether a class can be iterated over but has no samples by index."""
    return hasattr(dataset, "__iter__") and not has_samples(dataset)
