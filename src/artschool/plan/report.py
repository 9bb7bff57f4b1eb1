"""A timeline as data: steps, networks, and events between iterations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import NamedTuple

from artschool.config.iterations import Iterations
from artschool.config.when import Cycle
from artschool.data.sampler import Batches
from artschool.faults import Fault
from artschool.plan.rates import Group, Number
from artschool.registry.schedule import Schedule

MOST_VALUES = 1000
"""Of a number that changes, among which a plan looks for extremes: a run of any length takes no longer."""


class Range(NamedTuple):
    """A number, or its bounds if only the run decides it."""

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
        weight: A number, or the key of one.
        computed: The iterations at which the loss is computed and logged, whether or not the step trains.
    """

    name: str
    weight: float | str | Schedule
    every: Cycle
    computed: Iterations

    @property
    def weight_text(self) -> str:
        """The weight as displayed."""
        return self.weight if isinstance(self.weight, str) else f"{self.weight:g}"


@dataclass(frozen=True)
class Span:
    """Iterations from `first` to `last`, inclusive, during which the same parts of a step are active.

    Attributes:
        every: The step trains at the iterations of any of these cycles. Empty: it runs without training.
        losses: The names of the active losses.
    """

    first: int
    last: int
    every: tuple[Cycle, ...]
    losses: tuple[str, ...]


@dataclass(frozen=True)
class StepTimeline:
    """What a step does during a run.

    Attributes:
        runs: The iterations at which it runs.
        trains: The iterations at which it trains.
        updates: The number of updates by its optimizer.
        networks: The number of updates of each network that it trains, if its losses reach the network.
        spans: Consecutive spans of iterations, each with the same active parts.
        losses: Its losses.
        groups: Its groups of parameters by learning rate.
        condition: The value that decides whether it trains; empty if none does.
    """

    name: str
    runs: Iterations
    trains: Iterations
    updates: Range
    networks: Mapping[str, Range]
    spans: list[Span]
    losses: list[Loss]
    groups: list[Group]
    condition: str = ""

    def rates(self, group: Group, at: Sequence[int] | None = None) -> list[tuple[int, float | None]]:
        """The learning rate of a group by iteration, None if the step does not train.

        Args:
            group: One of the groups.
            at: The iterations. None: the first and last at which the step trains, and the first after each change of
                the schedule.
        """
        if at is None:
            points = {self.trains.last, *(self.trains.next(change) for change in (0, *group.changes))}
            at = sorted(point for point in points if point is not None)
        return [(i, group.rate(i) if i in self.trains else None) for i in at]


@dataclass(frozen=True)
class NetworkTimeline:
    """The number of updates of a network over all steps, and of its first moving average, if any."""

    name: str
    updates: Range
    average: Range | None


@dataclass(frozen=True)
class StreamTimeline:
    """How much of a data set training takes.

    Attributes:
        batch_size: The number of samples of a batch.
        taken: The number of batches that the iterations and the steps take.
        per_epoch: The number of batches of an epoch; None if the data set cannot be built here.
        unknown: Why the data set cannot be built.
    """

    name: str
    batch_size: int
    taken: Range
    per_epoch: int | None
    unknown: str

    @property
    def epochs(self) -> tuple[float, float] | None:
        """The least and the largest number of passes over the data; None if unknown."""
        return (self.taken.least / self.per_epoch, self.taken.most / self.per_epoch) if self.per_epoch else None


@dataclass(frozen=True)
class Event:
    """Something that happens between iterations, such as saving a checkpoint.

    Attributes:
        every: The numbers of finished iterations at which it is due; None: none but the last one.
        at_end: Whether it also happens at the end.
        count: How often it happens.
        points: The numbers of finished iterations after which it happens.
    """

    name: str
    every: Cycle | None
    at_end: bool
    count: Range
    points: Iterations


@dataclass(frozen=True)
class Timeline:
    """The timeline of a run that is not resumed.

    Attributes:
        start: The first iteration.
        stop: The number of finished iterations at the end; the last iteration is `stop - 1`.
        batches: The batches of `data.train`; None if the data set cannot be built here.
        unknown: Why the data set cannot be built.
        samples: The number of samples used until the end; None if unknown.
        evaluations, pictures, logs: When they happen.
        saves: When checkpoints are saved. With `keep_best`, only the certain ones.
        numbers: The numbers that schedules change.
        warnings: What the file asks for and the run never does.
        streams: The data sets of which training takes more than a batch of `train` in each iteration.
        ends_early: What ends the run before its last iteration; empty if nothing does.
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
    numbers: list[Number]
    warnings: list[Fault]
    streams: list[StreamTimeline]
    ends_early: str = ""

    def epochs(self, iteration: int) -> float | None:
        """The number of passes over the data after some iterations; None if unknown."""
        return iteration / self.batches.per_epoch if self.batches else None

    def values(self, number: Number, at: Sequence[int] | None = None) -> list[tuple[int, float]]:
        """A number by iteration.

        Args:
            number: One of the numbers.
            at: The iterations. None: the first and the last, those at which its schedule changes, and the first ones of
                its least and greatest value if these are none of them.
        """
        value = number.schedule.at
        if at is None:
            last = self.stop - 1
            at = sorted({self.start, last, *(point for point in number.changes if self.start <= point <= last)})
            at = sorted({*at, *self._extremes(value, [value(iteration) for iteration in at])})
        return [(iteration, value(iteration)) for iteration in at]

    def _extremes(self, value: Callable[[int], float], known: Sequence[float]) -> Iterator[int]:
        """The first iterations at which a number is less or greater than all known values, by more than rounding."""
        stride = -(-(self.stop - self.start) // MOST_VALUES)
        while gcd(stride, 10) > 1:  # It meets each iteration of a cycle of round length.
            stride += 1
        values = {iteration: value(iteration) for iteration in range(self.start, self.stop, stride)}
        least, greatest = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
        rounding = 1e-6 * (values[greatest] - values[least])
        if values[least] < min(known) - rounding:
            yield least
        if values[greatest] > max(known) + rounding:
            yield greatest

    @property
    def summary(self) -> str:
        """The length of the run in iterations, epochs and samples, in one line."""
        number, start = self.stop - self.start, f" from {self.start:,}" if self.start else ""
        length = f"{number:,} iteration{_s(number)}{start} of {self.batch_size} sample{_s(self.batch_size)}"
        epochs = self.epochs(self.stop)
        if self.batches is None or epochs is None:
            return f"{length}; epochs unknown: {self.unknown}"
        one = self.batches.per_epoch
        per_epoch = f"{shown(epochs)} epoch{_s(epochs)} of {one:,} iteration{_s(one)}"
        return f"{length}; {per_epoch}, {self.samples:,} samples at the end"


def shown(epochs: float) -> str:
    """A number of epochs with two decimals, or with three digits if it is small."""
    return f"{epochs:,.2f}".rstrip("0").rstrip(".") if epochs >= 1 else f"{epochs:.3g}"


def _s(number: float) -> str:
    return "" if number == 1 else "s"
