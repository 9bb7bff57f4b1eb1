"""Data sets made of others: mixed, repeated, a part of one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import Annotated, Any, TypedDict

import torch
from pydantic import Field

from artschool.errors import DataError
from artschool.registry import datasets
from artschool.registry.read_signature import declared_by
from artschool.registry.signature import Count, Dataset, Positive


class Passed(TypedDict):
    """The keys of what is inside, and none besides."""


@datasets.register
class Union:
    """Several data sets as one, one after the other, or in the shares that `weights` gives.

    It yields the keys that all of them declare. With weights, an epoch has `length` places, which are shared among the
    data sets; each place draws a sample of its data set at random, anew in each epoch.

    Args:
        data: The data sets to join.
        weights: A share for each, such as `[3, 1]`; without them every sample is there once.
        length: Samples of an epoch with weights; as many as the data sets have together without it.

    Raises:
        DataError: There is no data set, one is empty, or there are not as many weights.
    """

    def __init__(
        self,
        *,
        data: Annotated[list[Dataset], Field(min_length=1)],
        weights: list[Positive] | None = None,
        length: Count | None = None,
    ) -> None:
        if any(len(part) == 0 for part in data):
            raise DataError("union: one of the data sets is empty")
        if weights is not None and len(weights) != len(data):
            raise DataError(f"union: {len(weights)} weights for {len(data)} data sets")
        if weights is None and length is not None:
            raise DataError("union: `length` needs `weights`; without them every sample is there once")
        sizes = [len(part) for part in data]
        self._data, self._draws = data, weights is not None
        if weights is None:
            self._ends = list(accumulate(sizes))
        else:
            places = length or sum(sizes)
            self._ends = [round(places * sum(weights[: end + 1]) / sum(weights)) for end in range(len(weights))]
        declared = [declared_by(type(part)) for part in data]
        self._keys = set.intersection(*(set(keys or ()) for keys in declared)) if all(declared) else None

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Passed:
        number = bisect_right(self._ends, index)
        part = self._data[number]
        inner = int(torch.randint(len(part), ())) if self._draws else index - (self._ends[number - 1] if number else 0)
        sample: Mapping[str, Any] = part[inner]
        if self._keys is not None:
            sample = {key: sample[key] for key in sample if key in self._keys}
        return sample  # type: ignore[return-value]  # the keys of what is inside


@datasets.register
class Repeat:
    """A data set several times over: a longer epoch, in which each pass draws its own random numbers.

    Args:
        data: The data set to repeat.
        times: How often the data set is there.
    """

    def __init__(self, *, data: Dataset, times: Count) -> None:
        self._data, self._times = data, times

    def __len__(self) -> int:
        return len(self._data) * self._times

    def __getitem__(self, index: int) -> Passed:
        return self._data[index % len(self._data)]  # type: ignore[no-any-return]  # the keys of what is inside


@datasets.register
class Subset:
    """A part of a data set; `start` and `stop` count as in Python, `-100` from the end.

    Args:
        data: The data set to take a part of.
        start: The first sample.
        stop: The first sample that is left out; the end without it.
        step: How many samples further the next sample is.
    """

    def __init__(self, *, data: Dataset, start: int = 0, stop: int | None = None, step: Count = 1) -> None:
        self._data, self._indices = data, range(len(data))[start:stop:step]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Passed:
        return self._data[self._indices[index]]  # type: ignore[no-any-return]  # the keys of what is inside
