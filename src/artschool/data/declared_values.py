"""Samples held to the ranges of values that their data set declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from artschool.errors import DataError
from artschool.registry.ranges import Range, leaves, measured, shown

SLACK = 0.01
"""Fraction of a range by which values may lie outside of it, as after a resampling."""


class DeclaredValues:
    """A data set whose samples must keep the ranges that it declares, so that others can rely on them.

    Args:
        dataset: The data set.
        ranges: Ranges by key. Keys that a sample does not have, and values that are not floating point, are not
            checked.
        owner: Name of the data set's type, for the message.
    """

    def __init__(self, dataset: Any, ranges: Mapping[str, Range], owner: str) -> None:
        self._dataset, self._ranges, self._owner = dataset, ranges, owner

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Any:
        sample = self._dataset[index]
        for key, (low, high) in self._ranges.items() if isinstance(sample, Mapping) else ():
            value = sample.get(key)
            found = measured(value) if isinstance(value, Tensor) else None
            if found is not None and leaves(found, (low, high), SLACK):
                raise DataError(
                    f"{key!r} has values in {shown(found)}, but {self._owner} declares {shown((low, high))}"
                )
        return sample
