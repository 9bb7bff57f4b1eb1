"""Data sets made from others: mixed, repeated, or a part of one."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import Annotated, Any, Literal, TypedDict

import torch
from pydantic import Field

from artschool.errors import DataError
from artschool.registry import datasets
from artschool.registry.ranges import Known, Ranges, in_common
from artschool.registry.read_signature import declared_by
from artschool.registry.signature import Count, Dataset, Positive

Share = Annotated[float, Field(gt=0, lt=1)]


class Passed(TypedDict):
    """The keys of the wrapped data set, and no others."""


def of_inner(known: Known) -> Ranges:
    """Each key has the range that all wrapped data sets declare for it."""
    return {key: in_common([part.get(key) for part in known.inner]) for part in known.inner for key in part}


@datasets.register(values=of_inner)
class Union:
    """Several data sets as one: concatenated, or mixed in the proportions of `weights`.

    Samples have the keys that all data sets declare. With weights, each epoch divides its `length` samples among the
    data sets, and draws each sample from its data set at random.

    Args:
        data: Data sets to join, 1 or more.
        weights: Relative weight of each data set, above 0, such as `[3, 1]`. null: every sample occurs once.
        length: Number of samples per epoch, 1 or more; requires `weights`. null: the total number of samples.

    Raises:
        DataError: A data set is empty, the number of weights is wrong, or `length` has no `weights`.
    """

    def __init__(
        self,
        *,
        data: Annotated[list[Dataset], Field(min_length=1)],
        weights: list[Positive] | None = None,
        length: Count | None = None,
    ) -> None:
        if empty := [index for index, part in enumerate(data) if len(part) == 0]:
            raise DataError(f"union: data.{empty[0]} is empty (expected 1 sample or more, got 0). Fix: remove it")
        if weights is not None and len(weights) != len(data):
            raise DataError(f"union: weights: expected one for each data set ({len(data)}), got {len(weights)}")
        if weights is None and length is not None:
            raise DataError("union: `length` requires `weights`. Fix: add `weights`, or remove `length`")
        sizes = [len(part) for part in data]
        self._data, self._draws = data, weights is not None
        if weights is None:
            self._ends = list(accumulate(sizes))
        else:
            total = length or sum(sizes)
            self._ends = [round(total * sum(weights[: end + 1]) / sum(weights)) for end in range(len(weights))]
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
        return sample  # type: ignore[return-value]  # the keys of the wrapped data sets


@datasets.register(values=of_inner)
class Repeat:
    """A data set repeated within each epoch; every repetition draws its own random numbers.

    Args:
        data: Data set to repeat.
        times: Number of repetitions per epoch, 1 or more.
    """

    def __init__(self, *, data: Dataset, times: Count) -> None:
        self._data, self._times = data, times

    def __len__(self) -> int:
        return len(self._data) * self._times

    def __getitem__(self, index: int) -> Passed:
        return self._data[index % len(self._data)]  # type: ignore[no-any-return]  # the keys of the wrapped data set


@datasets.register(values=of_inner)
class Subset:
    """A part of a data set, selected by `start`, `stop` and `step` as in a Python slice.

    Args:
        data: Data set to select from.
        start: Index of the first sample. A negative index counts from the end.
        stop: Index at which to stop, exclusive. A negative index counts from the end. null: the end.
        step: Distance from one selected sample to the next, 1 or more. 1: every sample.
    """

    def __init__(self, *, data: Dataset, start: int = 0, stop: int | None = None, step: Count = 1) -> None:
        self._data, self._indices = data, range(len(data))[start:stop:step]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Passed:
        return self._data[self._indices[index]]  # type: ignore[no-any-return]  # the keys of the wrapped data set


@datasets.register(values=of_inner)
class Split:
    """The part of a data set to train on, or the part that is held out for evaluations. No sample is in both.

    Held-out samples are spread evenly over the data set, so that each class of a `labelled_folder` has its share. Both
    parts need the same inner samples and the same `held_out`; options such as `augment` may differ.

    Args:
        data: Data set to divide.
        part: Part to use: `train`, or `val` for the held-out samples.
        held_out: Fraction of the samples that is held out, above 0 and below 1.

    Raises:
        DataError: The part would be empty.
    """

    def __init__(self, *, data: Dataset, part: Literal["train", "val"], held_out: Share = 0.1) -> None:
        count = len(data)
        # Of the first n samples, floor(n * held_out + 1/2) are held out.
        counts = [math.floor(number * held_out + 0.5) for number in range(count + 1)]
        self._data = data
        self._indices = [i for i in range(count) if (counts[i + 1] > counts[i]) == (part == "val")]
        if not self._indices:
            raise DataError(
                f"split: the part {part!r} of {count} samples is empty (held_out {held_out:g}). "
                "Fix: change `held_out`, or add samples"
            )

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Passed:
        return self._data[self._indices[index]]  # type: ignore[no-any-return]  # the keys of the wrapped data set
