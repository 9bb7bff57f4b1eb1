"""The learning rate as a function of the iteration alone: phases, each with a warm-up and a scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Curve = Callable[[float, int], float]


@dataclass(frozen=True)
class Phase:
    """A curve that starts at an iteration.

    Attributes:
        curve: The rate from a base rate and the number of iterations since `start`.
    """

    curve: Curve
    start: int = 0
    scale: float = 1.0
    warmup: int = 0

    def rate(self, base: float, iteration: int) -> float:
        """The rate at an iteration that is not below `start`."""
        since = iteration - self.start
        rate = self.curve(base * self.scale, since)
        return rate * (since + 1) / self.warmup if since < self.warmup else rate


@dataclass(frozen=True)
class Schedule:
    """Phases in the order of their starts. Before the first, and without any, the base rate holds."""

    phases: Sequence[Phase] = ()

    def rate(self, base: float, iteration: int) -> float:
        """The rate at an iteration."""
        for phase in reversed(self.phases):
            if iteration >= phase.start:
                return phase.rate(base, iteration)
        return base
