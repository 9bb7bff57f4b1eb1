"""Named numbers between two log points, kept on their device until somebody reads them."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from artschool import ranks


class Meters:
    """Weighted means by name. Adding costs no synchronisation; `drain` costs one."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor | float]] = defaultdict(list)
        self._shares: dict[str, list[float]] = defaultdict(list)

    def add(self, name: str, value: Tensor | float, share: float = 1.0) -> None:
        """Add a detached scalar that stands for `share` of an iteration's samples."""
        self._values[name].append(value)
        self._shares[name].append(share)

    def drain(self) -> dict[str, float]:
        """The mean of each name over what was added, by all processes, since the last call."""
        sums = self._sums()
        self._values.clear()
        self._shares.clear()
        totals: dict[str, tuple[float, float]] = {}
        for other in ranks.gather(sums):
            for name, (total, weight) in other.items():
                known = totals.get(name, (0.0, 0.0))
                totals[name] = (known[0] + total, known[1] + weight)
        return {name: total / weight for name, (total, weight) in totals.items()}

    def state_dict(self) -> dict[str, tuple[float, float]]:
        """What was added since the last log point, as sums and weights by name."""
        return self._sums()

    def load_state_dict(self, state: dict[str, tuple[float, float]]) -> None:
        """Go on from sums and weights."""
        for name, (total, weight) in state.items():
            self._values[name], self._shares[name] = [total / weight], [weight]

    def _sums(self) -> dict[str, tuple[float, float]]:
        tensors = [value.float() for values in self._values.values() for value in values if isinstance(value, Tensor)]
        numbers = iter(torch.stack(tensors).tolist() if tensors else [])
        sums = {}
        for name, values in self._values.items():
            shares = self._shares[name]
            plain = [next(numbers) if isinstance(value, Tensor) else value for value in values]
            sums[name] = (sum(v * s for v, s in zip(plain, shares, strict=True)), sum(shares))
        return sums
