"""The learning rate as a function of the iteration: phases with a curve, a scale and a warm-up."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

Curve = Callable[[float, int], float]


def curve_of(target: Callable[..., Any], options: Mapping[str, Any]) -> Curve:
    """The curve of a component: a function with its options, or an object of a class that keeps a state."""
    bound = partial(target, **options)
    return bound() if inspect.isclass(target) else bound


@dataclass(frozen=True)
class Phase:
    """A part of a schedule.

    Attributes:
        curve: Maps the base rate and the number of iterations since `start` to the rate.
        start: The first iteration of the phase.
        scale: Factor of the base rate.
        warmup: Number of iterations over which the rate rises linearly from 0. 0: no warm-up.
    """

    curve: Curve
    start: int = 0
    scale: float = 1.0
    warmup: int = 0

    def rate(self, base: float, iteration: int) -> float:
        """The rate at an iteration, which must be at least `start`."""
        since = iteration - self.start
        rate = self.curve(base * self.scale, since)
        return rate * (since + 1) / self.warmup if since < self.warmup else rate


@dataclass(frozen=True)
class Schedule:
    """Phases, sorted by start. Before the first phase the base rate applies."""

    phases: Sequence[Phase] = ()

    def rate(self, base: float, iteration: int) -> float:
        """The rate at an iteration."""
        for phase in reversed(self.phases):
            if iteration >= phase.start:
                return phase.rate(base, iteration)
        return base
