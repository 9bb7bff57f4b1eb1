"""Named numbers between two log points, kept on their device until somebody reads them."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from artschool import ranks


class Meters:
    """Weighted means by name. Adding costs no synchronisation; `drain` costs one."""

    def __init__(self) -> None:
        self._added: dict[str, list[tuple[Tensor | float, float]]] = defaultdict(list)

    def add(self, name: str, value: Tensor | float, weight: float = 1.0) -> None:
        """Add a detached scalar that stands for `weight` of an iteration's samples."""
        self._added[name].append((value, weight))

    def drain(self) -> dict[str, float]:
        """The mean of each name over what was added, by all processes, since the last call."""
        sums = self._sums()
        self._added.clear()
        totals: dict[str, tuple[float, float]] = {}
        for other in ranks.gather(sums):
            for name, (total, weight) in other.items():
                known = totals.get(name, (0.0, 0.0))
                totals[name] = (known[0] + total, known[1] + weight)
        return {name: total / weight for name, (total, weight) in totals.items()}

    def forget(self) -> None:
        """Drop what was added."""
        self._added.clear()

    def state_dict(self) -> dict[str, tuple[float, float]]:
        """What was added since the last log point, as sums and weights by name."""
        return self._sums()

    def load_state_dict(self, state: dict[str, tuple[float, float]]) -> None:
        """Go on from sums and weights."""
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
