"""The timeline of a checked file: what happens at which iterations, without running anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from itertools import pairwise
from operator import or_
from types import MappingProxyType

from artschool.config.flow import written_when
from artschool.config.iterations import Iterations
from artschool.config.report_sections import PicturesSection
from artschool.config.streams import TRAIN, fed, streams
from artschool.config.structure import Config, StepConfig
from artschool.config.value_gates import rule_of_step
from artschool.config.when import Cycle, When
from artschool.data.sampler import Batches
from artschool.engine.sample_count import samples_after
from artschool.errors import ConfigError
from artschool.faults import Fault
from artschool.plan.rates import groups_of, numbers_of
from artschool.plan.report import Event, Loss, NetworkTimeline, Range, Span, StepTimeline, StreamTimeline, Timeline
from artschool.plan.warnings import warnings
from artschool.registry.entries import DatasetEntry, LossEntry

Known = tuple[Batches | None, str]
"""The batches of a data set, or None and why it cannot be built."""


def timeline(
    config: Config, batches: Batches | None, unknown: str = "", others: Mapping[str, Known] = MappingProxyType({})
) -> Timeline:
    """The timeline of a checked file.

    Args:
        config: A checked file.
        batches: The batches of `data.train`; None if the data set cannot be built.
        unknown: Why the data set cannot be built.
        others: The same for the other streams.

    Raises:
        ConfigError: The file counts epochs, and the length of an epoch is unknown.
    """
    train, data = config.sections.train, config.data["train"].entry
    assert isinstance(data, DatasetEntry)
    if batches is None and train.iterations is None:
        place = config.tree.at(("train", "epochs")).place
        message = f"the length of an epoch of data.train is unknown: {unknown}"
        hint = "To plan it anyway, add `train.epochs=null train.iterations=1000` to the command."
        raise ConfigError(Fault(place, "train.epochs", message, hint))
    start, length = train.start_iteration, train.length(batches.per_epoch if batches else 0)
    during, stop = When(start, length - 1), max(start, length)
    steps = [_step(step, config, during) for step in config.steps.values()]
    events = _Events(config, start, stop)
    return Timeline(
        name=config.sections.name,
        start=start,
        stop=stop,
        batch_size=data.batch_size,
        batches=batches,
        unknown=unknown,
        samples=samples_after(stop, train, batches) if batches else None,
        steps=steps,
        networks=[_network(name, config, steps, during) for name in config.networks],
        evaluations=events.evaluations,
        saves=events.saves,
        pictures=events.pictures,
        logs=events.at("log", config.sections.log.every, at_end=True),
        numbers=numbers_of(config),
        warnings=warnings(config, during, {step.name: step for step in steps}),
        streams=list(_streams(config, steps, stop - start, {TRAIN: (batches, unknown), **others})),
        ends_early=_early_end(config),
    )


def _streams(
    config: Config, steps: list[StepTimeline], iterations: int, known: Mapping[str, Known]
) -> Iterator[StreamTimeline]:
    """What training takes of each stream, except for `train` if each iteration takes one batch of it."""
    for name in streams(config):
        runs = sum(
            step.runs.count() * section.repeat
            for step in steps
            if name in (section := config.steps[step.name].section).streams
        )
        if name == TRAIN and not runs:
            continue
        number = runs + (iterations if name in fed(config) else 0)
        entry = config.data[name].entry
        assert isinstance(entry, DatasetEntry)
        batches, unknown = known.get(name, (None, ""))
        per_epoch = batches.per_epoch if batches else None
        yield StreamTimeline(name, entry.batch_size, Range(number, number), per_epoch, unknown)


def _early_end(config: Config) -> str:
    stop = config.sections.train.stop
    if stop is None:
        return ""
    return f"earlier if {stop.metric} does not improve in {stop.patience} measurement{'s' if stop.patience > 1 else ''}"


def _moves(step: StepConfig, config: Config, network: str) -> Iterations:
    """The iterations at which a step trains a network, if all of its losses reach the network."""
    if step.optimizer is None:
        return Iterations(())
    gate = step.moves_when & config.networks[network].when
    return Iterations.of(gate & loss.when for loss in step.losses.values())


def _step(step: StepConfig, config: Config, during: When) -> StepTimeline:
    by_network = {name: _moves(step, config, name) & during for name in step.section.trained}
    trains = _union(by_network.values())
    runs = Iterations.of([during & step.section.when])
    losses = []
    for name, loss in step.losses.items():
        assert isinstance(loss.entry, LossEntry)
        losses.append(Loss(name, loss.entry.weight, loss.when.cycle, runs & loss.when))
    return StepTimeline(
        name=step.name,
        runs=runs,
        trains=trains,
        updates=_updates(step, trains, whole=True),
        networks={name: _updates(step, its, whole=its == trains) for name, its in by_network.items()},
        spans=list(_spans(runs, trains, losses)),
        losses=losses,
        groups=groups_of(step),
        condition=str(rule_of_step(step) or ""),
    )


def _updates(step: StepConfig, at: Iterations, *, whole: bool) -> Range:
    """The number of updates from gradients at some iterations.

    Args:
        step: The step that trains.
        at: The iterations at which it has gradients.
        whole: Whether these are all iterations at which the step trains.
    """
    least = most = at.count() * step.section.repeat
    if (sizing := step.section.batch_sizing) is not None:
        # An update takes at least two iterations, since one alone cannot change the direction of the gradient.
        longest = sizing.max_full_batches
        least, most = (most // longest, most // min(2, longest)) if whole else (0, most)
    return Range(0 if step.section.requires or step.section.while_ is not None else least, most)


def _spans(runs: Iterations, trains: Iterations, losses: list[Loss]) -> Iterator[Span]:
    """The spans between changes of what is active. Equal neighbours are merged."""
    if not runs:
        return
    cuts = reduce(or_, (loss.computed.cuts() for loss in losses), runs.cuts() | trains.cuts())
    span: Span | None = None
    for first, after in pairwise(sorted(cuts)):
        active = tuple(loss.name for loss in losses if loss.computed.cycles(first))
        new = Span(first, after - 1, trains.cycles(first), active)
        if span is not None and (span.every, span.losses) == (new.every, new.losses):
            span = Span(span.first, new.last, new.every, new.losses)
            continue
        if span is not None:
            yield span
        span = new
    if span is not None:
        yield span


def _network(name: str, config: Config, steps: list[StepTimeline], during: When) -> NetworkTimeline:
    own = [step for step in steps if name in step.networks]
    counts = [step.networks[name] for step in own]
    total = Range(sum(count.least for count in counts), sum(count.most for count in counts))
    average = None
    if averages := config.averages_of(name):
        # Once per iteration, even if several steps update the network.
        at = _union(_moves(config.steps[step.name], config, name) & during for step in own)
        exact = all(count.least == count.most for count in counts)
        least = at.count() if exact else min(at.count(), max(count.least for count in counts))
        average = Range(least, min(at.count(), total.most))
        if (due := averages[0].due) is not None:
            average = Range((due & during).count(), (due & during).count())
    return NetworkTimeline(name, total, average)


def _union(sets: Iterable[Iterations]) -> Iterations:
    return reduce(or_, sets, Iterations(()))


class _Events:
    """The events between iterations of a run. Points are numbers of finished iterations."""

    def __init__(self, config: Config, start: int, stop: int) -> None:
        self._start, self._stop = start, stop
        sections = config.sections
        self.evaluations = [self.at(e.name, e.section.every, at_end=True) for e in config.evaluations.values()]
        self.saves = self.at("checkpoint", sections.checkpoint.every, at_end=True)
        best = sections.checkpoint.keep_best
        if best is not None:
            chosen = best.metric.partition("/")[0]
            with_best = next(event.points for event in self.evaluations if event.name == chosen)
            most = (self.saves.points | with_best).count()
            self.saves = Event(
                "checkpoint", self.saves.every, True, Range(self.saves.count.least, most), self.saves.points
            )
        self.pictures = self._pictures(config, sections.log.pictures) if sections.log.pictures else None

    def _pictures(self, config: Config, pictures: PicturesSection) -> Event:
        """An event where images are due and a key of them is written."""
        written = [writer for writers in written_when(config, pictures.keys).values() for writer in writers]
        return self._of("pictures", pictures.due.cycle, [pictures.due & when.finished for when in written])

    def at(self, name: str, every: int | None, *, at_end: bool) -> Event:
        """An event after each multiple of `every` finished iterations."""
        multiples = [When(every=every)] if every else []
        end = [When(after=self._stop)] if at_end else []
        return self._of(name, Cycle(every) if every else None, [*multiples, *end], at_end=at_end)

    def _of(self, name: str, every: Cycle | None, points: Iterable[When], *, at_end: bool = False) -> Event:
        within = Iterations.of(When(self._start + 1, self._stop) & when for when in points)
        return Event(name, every, at_end, Range(within.count(), within.count()), within)
