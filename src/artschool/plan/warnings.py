"""Warnings about what a file asks for and its run never does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from artschool.config.component import Component
from artschool.config.iterations import Iterations
from artschool.config.source import Node
from artschool.config.step_parts import components_of, never_runs
from artschool.config.structure import Config, StepConfig
from artschool.config.when import When
from artschool.faults import Fault
from artschool.plan.rates import milestones_of
from artschool.plan.report import StepTimeline
from artschool.read.check import in_reading_order
from artschool.registry.entries import OptimizerEntry, ScheduleEntry


def warnings(config: Config, during: When, steps: Mapping[str, StepTimeline]) -> list[Fault]:
    """Warnings about everything that certainly never happens in a run.

    They include the warnings of `artschool check` about it, with the same text.

    Args:
        config: A checked file.
        during: The iterations of the run.
        steps: The timelines of its steps, by name.
    """
    assert during.before is not None
    stop = during.before + 1
    if during.first() is None:
        node = config.tree.at(("train", "start_iteration"))
        return [_warning(node, "train.start_iteration", f"nothing is trained: training ends after {stop} iterations")]
    return in_reading_order(
        [
            *(fault for step in config.steps.values() for fault in _of_step(step, config, during, steps[step.name])),
            *_averages(config, steps, during, stop),
            *_numbers(config, during.before),
            *_pictures(config, during.after, stop),
        ]
    )


def _of_step(step: StepConfig, config: Config, during: When, timeline: StepTimeline) -> Iterator[Fault]:
    callbacks = ((component, step.section.when & component.when) for component in step.callbacks.values())
    inactive = [(c, when) for c, when in [*components_of(step), *callbacks] if (when & during).first() is None]
    for component, when in inactive:
        yield never_runs(component, when, during)
    if step.optimizer is None or not timeline.runs:
        return
    yield from _untrained(step, config, during, timeline)
    if not timeline.trains:
        return
    reported = {component.path for component, _ in inactive}
    for loss in step.losses.values():
        if loss.path not in reported and not timeline.trains & loss.when:
            message = f"trains nothing: it is active {loss.when}, and its step never trains then"
            yield _warning(loss.node, loss.path, message)
    yield from _schedule(step, timeline.trains)


def _untrained(step: StepConfig, config: Config, during: When, timeline: StepTimeline) -> Iterator[Fault]:
    """The gate that keeps a step or a network of it from training; the step itself if only all gates together do so."""
    assert step.optimizer is not None
    path, trains_when = f"steps.{step.name}", during & step.section.trains_when
    if trains_when.first() is None:
        yield _warning(step.node, path, f"never trains: {step.section.trains_when.missed(during)}")
        return
    if (trains_when & step.optimizer.when).first() is None:
        message = f"never updates: {_why_closed(step.optimizer.when, step, during)}"
        yield _warning(step.optimizer.node, step.optimizer.path, message)
        return
    networks = [config.networks[name] for name in step.section.trained]
    closed = [network for network in networks if (trains_when & step.optimizer.when & network.when).first() is None]
    for network in closed:
        message = f"steps.{step.name} never updates it: {_why_closed(network.when, step, during)}"
        yield _warning(network.node, network.path, message)
    if not timeline.trains and not closed:
        yield _warning(step.node, path, "never trains: its losses are never active when its gates are open")


def _why_closed(gate: When, step: StepConfig, during: When) -> str:
    """Why a gate is never open when its step trains."""
    if (gate & during).first() is None:
        return gate.missed(during)
    return f"it is active {gate}, and the step trains {step.section.trains_when}"


def _schedule(step: StepConfig, trains: Iterations) -> Iterator[Fault]:
    """Phases, warm-ups and milestones that end after the last update, or after the next phase has begun."""
    assert step.optimizer is not None and isinstance(step.optimizer.entry, OptimizerEntry)
    assert trains.last is not None
    yield from _phases(step.schedule, trains.last, f"the last update is at iteration {trains.last}")


def _phases(phases: Sequence[Component], last: int, why_last: str) -> Iterator[Fault]:
    for phase, following in zip_longest(phases, phases[1:]):
        if _start(phase) > last:
            yield _warning(
                phase.node, phase.path, f"has no effect: it starts at iteration {_start(phase)}, and {why_last}"
            )
            continue
        if following is not None and _start(following) <= last:
            why = f"the next phase starts at iteration {_start(following)}"
            yield from _phase(phase, _start(following) - 1, why)
        else:
            yield from _phase(phase, last, why_last)


def _phase(phase: Component, end: int, why: str) -> Iterator[Fault]:
    """The warm-up and the milestones of a phase that lie after its last iteration.

    Args:
        phase: A phase of a schedule.
        end: The last iteration of the phase.
        why: Why the phase ends there.
    """
    start = _start(phase)
    warmup = getattr(phase.entry, "warmup", 0)
    if warmup and start + warmup - 1 > end:
        message = f"never reaches its full rate: its warm-up lasts until iteration {start + warmup - 1}, and {why}"
        yield _warning(phase.node, phase.path, message)
    nodes = phase.node.get("milestones")
    for index, milestone in enumerate(milestones_of(phase)):
        if start + milestone > end:
            since = f", {milestone} after the phase starts," if start else ""
            message = f"iteration {start + milestone}{since} is never reached: {why}"
            yield _warning(_item(nodes, index) or phase.node, f"{phase.path}.milestones", message)


def _start(phase: Component) -> int:
    assert isinstance(phase.entry, ScheduleEntry)
    return phase.entry.from_


def _averages(config: Config, steps: Mapping[str, StepTimeline], during: When, stop: int) -> Iterator[Fault]:
    networks = config.tree.at(("ema", "networks"))
    for index, (entry, average) in enumerate(config.averages.items()):
        name = average.of
        if not any(step.networks[name].most for step in steps.values() if name in step.networks):
            node = networks.child(entry) or networks.child(index) or networks
            yield _warning(node, "ema.networks", f"the average of {name!r} never changes: no step updates {name!r}")
        elif average.due is not None and not average.due & during:
            node, first = networks.at((entry, "every")), average.due.first
            message = f"the average never changes: it first moves at iteration {first}, and training ends after {stop}"
            yield _warning(node, f"ema.networks.{entry}.every", f"{message} iterations")
        elif average.start >= stop:
            message = (
                f"always equals its network: it starts at iteration {average.start}, and training ends after {stop}"
            )
            node = networks.at((entry, "start"))
            yield _warning(node, f"ema.networks.{entry}.start", f"{message} iterations")


def _numbers(config: Config, last: int) -> Iterator[Fault]:
    """Phases and warm-ups of other numbers than learning rates that end after the run."""
    for number in config.numbers:
        yield from _phases(number.phases, last, f"the last iteration is {last}")


def _pictures(config: Config, start: int, stop: int) -> Iterator[Fault]:
    pictures = config.sections.log.pictures
    if pictures is not None and (pictures.due & When(start + 1, stop)).first() is None:
        node = config.tree.at(("log", "pictures", "every"))
        message = f"no image is logged: the interval is {pictures.due.cycle} iterations, and training ends after {stop}"
        yield _warning(node, "log.pictures.every", message)


def _item(node: Node | None, index: int) -> Node | None:
    return node.child(index) if node is not None else None


def _warning(node: Node, path: str, message: str) -> Fault:
    return Fault(node.start, path, message)
