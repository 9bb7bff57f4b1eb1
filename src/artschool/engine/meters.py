"""Weighted means of named numbers between two log points."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from artschool import ranks


class Meters:
    """Weighted means by name. `add` does not wait for the device; `drain` and `state_dict` wait once."""

    def __init__(self) -> None:
        self._added: dict[str, list[tuple[Tensor | float, float]]] = defaultdict(list)

    def add(self, name: str, value: Tensor | float, weight: float = 1.0) -> None:
        """Add a detached scalar with its weight in the mean."""
        self._added[name].append((value, weight))

    def drain(self) -> dict[str, float]:
        """The mean of each name since the last call, over all processes."""
        sums = self._sums()
        self._added.clear()
        totals: dict[str, tuple[float, float]] = {}
        for of_process in ranks.gather(sums):
            for name, (total, weight) in of_process.items():
                before = totals.get(name, (0.0, 0.0))
                totals[name] = (before[0] + total, before[1] + weight)
        return {name: total / weight for name, (total, weight) in totals.items()}

    def clear(self) -> None:
        """Drop all numbers."""
        self._added.clear()

    def state_dict(self) -> dict[str, tuple[float, float]]:
        """Sums and weights by name since the last log point; waits for the device."""
        return self._sums()

    def load_state_dict(self, state: dict[str, tuple[float, float]]) -> None:
        """Continue from the result of `state_dict`."""
        for name, (total, weight) in state.items():
            self._added[name] = [(total / weight, weight)]

    def _sums(self) -> dict[str, tuple[float, float]]:
        tensors = [value.float() for pairs in self._added.values() for value, _ in pairs if isinstance(value, Tensor)]
        numbers = iter(torch.stack(tensors).tolist() if tensors else [])
        sums = {}
        for name, pairs in self._added.items():
            plain = [(next(numbers) if isinstance(value, Tensor) else value, weight) for value, weight in pairs]
            sums[name] = (sum(value * weight for value, weight in plain), sum(weight for _, weight in plain))
        return sums
