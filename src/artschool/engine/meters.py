"""Weighted means of named numbers between two log points, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from artschool import ranks

Scalar = Tensor | float
AnyScalar = TypeVar("AnyScalar", float, Tensor | float)
MOST_UNSUMMED = 4096
"""Maximum number of values that are kept before they are added to the sums on the device.

With fewer of them between two log points, nothing is computed before they are read.
"""


class Meters:
    """Weighted means by name. `add` does not wait for the device; `means`, `drain` and `state_dict` wait once.

    Sums are in float64 and in the order of the calls of `add`: floats and tensors give the same bits, and so does a run
    that resumes in between.
    """

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Scalar, Scalar]] = {}
        self._unsummed: list[tuple[str, Scalar, Scalar]] = []
        # The processes of an iteration weigh 1 together, as shares do: their number may change between two log points.
        self._weight = 1.0 / ranks.world_size()
        self._marked = self._sums, 0

    def add(self, name: str, value: Scalar, weight: Scalar | None = None) -> None:
        """Add a detached scalar with its weight in the mean. None: 1 divided by the number of processes."""
        if isinstance(value, Tensor) and value.dtype is not torch.float32:
            value = value.float()
        self._unsummed.append((name, value, self._weight if weight is None else weight))
        if len(self._unsummed) >= MOST_UNSUMMED:
            sums, count = self._marked
            if sums is self._sums:
                self._sum_first(count)
                self._marked = self._sums, 0
            self._sum_first(len(self._unsummed))

    def mark(self) -> None:
        """Remember which numbers there are."""
        self._marked = self._sums, len(self._unsummed)

    def back_to_mark(self) -> None:
        """Drop the numbers since `mark`. There must not have been a `clear` or `load_state_dict` since."""
        self._sums, count = self._marked
        del self._unsummed[count:]

    def _sum_first(self, count: int) -> None:
        """Add the first so many of the numbers that are not summed yet to the sums."""
        entries = ((name, _widened(value), _widened(weight)) for name, value, weight in self._unsummed[:count])
        self._sums = _summed(self._sums, entries)
        del self._unsummed[:count]

    def means(self) -> dict[str, float]:
        """The mean of each name since `clear`, over all processes. A name whose weights sum to 0 is omitted."""
        totals = summed(ranks.gather(self.state_dict()))
        return {name: total / weight for name, (total, weight) in totals.items() if weight}

    def drain(self) -> dict[str, float]:
        """Return `means`, then `clear`."""
        means = self.means()
        self.clear()
        return means

    @property
    def names(self) -> set[str]:
        """The names of the numbers since `clear`."""
        return {*self._sums, *(name for name, _, _ in self._unsummed)}

    def clear(self) -> None:
        """Drop all numbers."""
        self.load_state_dict({})

    def copy(self) -> Meters:
        """The same numbers, in meters of their own."""
        other = Meters()
        other.adopt(self)
        return other

    def adopt(self, other: Meters) -> None:
        """Replace all numbers by those of other meters, which are not used after that."""
        self._sums, self._unsummed = other._sums, [*other._unsummed]

    def state_dict(self) -> dict[str, tuple[float, float]]:
        """Sums and weights by name since the last log point; waits for the device once."""
        sums = [scalar for pair in self._sums.values() for scalar in pair]
        names = [name for name, _, _ in self._unsummed]
        values = [value for _, value, _ in self._unsummed]
        weights = [weight for _, _, weight in self._unsummed]
        numbers = _numbers([*sums, *values, *weights])
        first, second = len(sums), len(sums) + len(names)
        read = zip(self._sums, zip(numbers[:first:2], numbers[1:first:2], strict=True), strict=True)
        return _summed(dict(read), zip(names, numbers[first:second], numbers[second:], strict=True))

    def load_state_dict(self, state: dict[str, tuple[float, float]]) -> None:
        """Continue from the result of `state_dict`, without the numbers added so far."""
        self._sums = dict(state)
        self._unsummed.clear()
        self.mark()


def summed(states: Iterable[dict[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    """The sums and weights by name of several processes, each the result of `Meters.state_dict`."""
    totals: dict[str, tuple[float, float]] = {}
    for state in states:
        for name, (total, weight) in state.items():
            before = totals.get(name, (0.0, 0.0))
            totals[name] = (before[0] + total, before[1] + weight)
    return totals


def _summed(
    sums: Mapping[str, tuple[AnyScalar, AnyScalar]], entries: Iterable[tuple[str, AnyScalar, AnyScalar]]
) -> dict[str, tuple[AnyScalar, AnyScalar]]:
    """The sums after more values and weights, one after the other."""
    summed = dict(sums)
    for name, value, factor in entries:
        total, weight = summed.get(name, (0.0, 0.0))
        summed[name] = (total + value * factor, weight + factor)
    return summed


def _wide(tensor: Tensor) -> Tensor:
    """In float64, except on MPS, which does not have it."""
    return tensor.float() if tensor.device.type == "mps" else tensor.double()


def _widened(scalar: Scalar) -> Scalar:
    return _wide(scalar) if isinstance(scalar, Tensor) else scalar


def _numbers(scalars: list[Scalar]) -> list[float]:
    """The values of scalars; waits for the device once."""
    tensors = {place: scalar for place, scalar in enumerate(scalars) if isinstance(scalar, Tensor)}
    same_dtype = len({tensor.dtype for tensor in tensors.values()}) <= 1
    read = list(tensors.values()) if same_dtype else [_wide(tensor) for tensor in tensors.values()]
    numbers: list[Any] = list(scalars)
    for place, number in zip(tensors, torch.stack(read).tolist() if read else (), strict=True):
        numbers[place] = number
    return numbers
