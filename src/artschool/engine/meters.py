"""Weighted means of named numbers between two log points, in constant memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from artschool import ranks

Scalar = Tensor | float
AnyScalar = TypeVar("AnyScalar", Tensor, float, Tensor | float)
MOST_UNSUMMED = 256
"""Maximum number of values of a name that are kept before they are added to its sum on the device.

With fewer of them between two log points, nothing is computed before they are read.
"""


class Meters:
    """Weighted means by name. `add` does not wait for the device; `means`, `drain` and `state_dict` wait once."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sum] = defaultdict(_Sum)
        # The processes of an iteration weigh 1 together, as shares do: their number may change between two log points.
        self._weight = 1.0 / ranks.world_size()

    def add(self, name: str, value: Scalar, weight: Scalar | None = None) -> None:
        """Add a detached scalar with its weight in the mean. None: 1 divided by the number of processes."""
        self._sums[name].add(value, self._weight if weight is None else weight)

    def means(self) -> dict[str, float]:
        """The mean of each name since `clear`, over all processes. A name whose weights sum to 0 is omitted."""
        totals = summed(ranks.gather(self.state_dict()))
        return {name: total / weight for name, (total, weight) in totals.items() if weight}

    def drain(self) -> dict[str, float]:
        """Return `means`, then `clear`."""
        means = self.means()
        self.clear()
        return means

    def clear(self) -> None:
        """Drop all numbers."""
        self._sums.clear()

    def state_dict(self) -> dict[str, tuple[float, float]]:
        """Sums and weights by name since the last log point; waits for the device."""
        numbers = iter(_numbers([tensor for kept in self._sums.values() for tensor in kept.tensors()]))
        return {name: kept.read(numbers) for name, kept in self._sums.items()}

    def load_state_dict(self, state: dict[str, tuple[float, float]]) -> None:
        """Continue from the result of `state_dict`, without the numbers added so far."""
        self._sums.clear()
        for name, (total, weight) in state.items():
            self._sums[name] = _Sum(total, weight)


def summed(states: Iterable[dict[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    """The sums and weights by name of several processes, each the result of `Meters.state_dict`."""
    totals: dict[str, tuple[float, float]] = {}
    for state in states:
        for name, (total, weight) in state.items():
            before = totals.get(name, (0.0, 0.0))
            totals[name] = (before[0] + total, before[1] + weight)
    return totals


class _Sum:
    """A weighted sum and the sum of its weights, in float64 and in the order of the calls of `add`."""

    def __init__(self, total: Scalar = 0.0, weight: Scalar = 0.0) -> None:
        self._total, self._weight = total, weight
        self._unsummed: list[tuple[Scalar, Scalar]] = []

    def add(self, value: Scalar, weight: Scalar) -> None:
        self._unsummed.append((value.float() if isinstance(value, Tensor) else value, weight))
        if len(self._unsummed) == MOST_UNSUMMED:
            wide = [_wide(each) if isinstance(each, Tensor) else each for pair in self._unsummed for each in pair]
            pairs = zip(wide[::2], wide[1::2], strict=True)
            self._total, self._weight = _summed(self._total, self._weight, pairs)
            self._unsummed.clear()

    def tensors(self) -> list[Tensor]:
        """Everything that is on the device, in the order in which `read` takes its numbers."""
        return [scalar for scalar in self._scalars() if isinstance(scalar, Tensor)]

    def read(self, numbers: Iterator[float]) -> tuple[float, float]:
        """The two sums, given the numbers of `tensors`."""
        total, weight, *rest = (next(numbers) if isinstance(scalar, Tensor) else scalar for scalar in self._scalars())
        return _summed(total, weight, zip(rest[::2], rest[1::2], strict=True))

    def _scalars(self) -> Iterable[Scalar]:
        return (self._total, self._weight, *(scalar for pair in self._unsummed for scalar in pair))


def _summed(
    total: AnyScalar, weight: AnyScalar, pairs: Iterable[tuple[AnyScalar, AnyScalar]]
) -> tuple[AnyScalar, AnyScalar]:
    """One after the other: floats and tensors give the same bits, and so does a run that resumes in between."""
    for value, factor in pairs:
        total, weight = total + value * factor, weight + factor
    return total, weight


def _wide(tensor: Tensor) -> Tensor:
    """In float64, except on MPS, which does not have it."""
    return tensor.float() if tensor.device.type == "mps" else tensor.double()


def _numbers(tensors: list[Tensor]) -> list[float]:
    """The values of scalar tensors; waits for the device once."""
    if any(tensor.dtype != torch.float32 for tensor in tensors):
        tensors = [_wide(tensor) for tensor in tensors]
    return torch.stack(tensors).tolist() if tensors else []
