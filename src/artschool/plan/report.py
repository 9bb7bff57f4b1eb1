"""What a timeline holds: steps, networks, and what comes between iterations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from artschool.data.sampler import Batches
from artschool.errors import Fault
from artschool.plan.iterations import Iterations
from artschool.plan.rates import Group


class Range(NamedTuple):
    """A number, or the bounds of one that only the run can tell."""

    least: int
    most: int

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.most:,}"
        return f"{self.least:,} to {self.most:,}" if self.least else f"at most {self.most:,}"


@dataclass(frozen=True)
class Loss:
    """A loss of a step.

    Attributes:
        computed: The iterations at which it is computed and logged, whether the step trains at them or not.
    """

    name: str
    weight: float
    every: int
    computed: Iterations


@dataclass(frozen=True)
class Span:
    """Iterations from `first` to `last`, both included, during which the same parts of a step are active.

    Attributes:
        every: The step trains at the multiples of each of these; at none where there are none, and only runs.
        losses: The names of those that are active.
    """

    first: int
    last: int
    every: tuple[int, ...]
    losses: tuple[str, ...]


@dataclass(frozen=True)
class StepTimeline:
    """What becomes of a step.

    Attributes:
        runs: The iterations at which it runs.
        trains: Those of them at which it has a gradient to follow.
        updates: How often its optimizer steps.
        networks: How often it moves each network that it trains, as far as its losses reach it.
    """

    name: str
    runs: Iterations
    trains: Iterations
    updates: Range
    networks: Mapping[str, Range]
    spans: list[Span]
    losses: list[Loss]
    groups: list[Group]

    def rates(self, group: Group, at: Sequence[int] | None = None) -> list[tuple[int, float | None]]:
        """The rate of a group by iteration, None where the step does not train.

        Args:
            at: Which iterations; without, where it trains first and last, and where it trains next once the rate has
                changed its course.
        """
        if at is None:
            points = {self.trains.last, *(self.trains.next(change) for change in (0, *group.changes))}
            at = sorted(point for point in points if point is not None)
        return [(i, group.rate(i) if i in self.trains else None) for i in at]


@dataclass(frozen=True)
class NetworkTimeline:
    """How often a network is updated, over all steps, and its moving average if it has one."""

    name: str
    updates: Range
    average: Range | None


@dataclass(frozen=True)
class Event:
    """What happens between iterations: after each multiple of `every` finished ones, and at the end or not."""

    name: str
    every: int | None
    at_end: bool
    count: Range
    points: Iterations


@dataclass(frozen=True)
class Timeline:
    """The timeline of a run that is not resumed.

    Attributes:
        start: The first iteration.
        stop: How many iterations are finished at the end; the last one is `stop - 1`.
        batches: Which samples make the batches; None where the data cannot be built here.
        unknown: Why not.
        samples: How many samples are seen at the end.
        evaluations, pictures, logs: After how many finished iterations they come.
        saves: With `keep_best` more than those that are sure.
        never: What never happens.
    """

    name: str
    start: int
    stop: int
    batch_size: int
    batches: Batches | None
    unknown: str
    samples: int | None
    steps: list[StepTimeline]
    networks: list[NetworkTimeline]
    evaluations: list[Event]
    saves: Event
    pictures: Event | None
    logs: Event
    never: list[Fault]

    def epochs(self, iteration: int) -> float | None:
        """How many passes over the data so many iterations are."""
        return iteration / self.batches.per_epoch if self.batches else None

    @property
    def summary(self) -> str:
        """How long it is, in one line."""
        number, start = self.stop - self.start, f" from {self.start:,}" if self.start else ""
        length = f"{number:,} iteration{_s(number)}{start} of {self.batch_size} sample{_s(self.batch_size)}"
        epochs = self.epochs(self.stop)
        if self.batches is None or epochs is None:
            return f"{length}; epochs unknown: {self.unknown}"
        shown = f"{epochs:,.2f}".rstrip("0").rstrip(".") if epochs >= 1 else f"{epochs:.3g}"
        one = self.batches.per_epoch
        per_epoch = f"{shown} epoch{_s(epochs)} of {one:,} iteration{_s(one)}"
        return f"{length}; {per_epoch}, {self.samples:,} samples at the end"


def _s(number: float) -> str:
    return "" if number == 1 else "s"
