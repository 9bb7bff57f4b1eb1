"""What certainly never happens in a run, though the file asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest

from artschool.config.component import Component
from artschool.config.flow import components_of, never_runs
from artschool.config.source import Node
from artschool.config.structure import Config, StepConfig
from artschool.config.when import When
from artschool.errors import Fault
from artschool.plan.iterations import Iterations
from artschool.plan.rates import milestones_of
from artschool.plan.report import StepTimeline
from artschool.read.check import in_reading_order
from artschool.registry.entries import OptimizerEntry, ScheduleEntry


def never(config: Config, during: When, steps: Mapping[str, StepTimeline]) -> list[Fault]:
    """A warning for each; those of `artschool check` that say so are among them, word by word.

    Args:
        during: The iterations of the run.
    """
    assert during.before is not None
    stop = during.before + 1
    if during.first() is None:
        node = config.tree.at(("train", "start_iteration"))
        return [_warning(node, "train.start_iteration", f"nothing is trained: training ends after {stop} iterations")]
    return in_reading_order(
        [
            *(fault for step in config.steps.values() for fault in _of_step(step, config, during, steps[step.name])),
            *_averages(config, steps),
            *_pictures(config, during.after, stop),
        ]
    )


def _of_step(step: StepConfig, config: Config, during: When, found: StepTimeline) -> Iterator[Fault]:
    callbacks = ((component, step.section.when & component.when) for component in step.callbacks.values())
    asleep = set()
    for component, when in [*components_of(step), *callbacks]:
        if (when & during).first() is None:
            asleep.add(component.path)
            yield never_runs(component, when, during)
    if step.optimizer is None or not found.runs:
        return
    yield from _untrained(step, config, during, found)
    if not found.trains:
        return
    for loss in step.losses.values():
        if loss.path not in asleep and not found.trains & loss.when:
            message = f"moves nothing: it is active {loss.when}, and the step never trains then"
            yield _warning(loss.node, loss.path, message)
    yield from _phases(step, found.trains)


def _untrained(step: StepConfig, config: Config, during: When, found: StepTimeline) -> Iterator[Fault]:
    """The one gate that keeps a step or one of its networks from training; the step itself where it takes several."""
    assert step.optimizer is not None
    path, open_at = f"steps.{step.name}", during & step.section.trains_when
    if open_at.first() is None:
        yield _warning(step.node, path, f"never trains: {step.section.trains_when.missed(during)}")
        return
    if (open_at & step.optimizer.when).first() is None:
        message = f"never steps: {_shut(step.optimizer.when, step, during)}"
        yield _warning(step.optimizer.node, step.optimizer.path, message)
        return
    shut = False
    for name in step.section.trained:
        network = config.networks[name]
        if (open_at & step.optimizer.when & network.when).first() is None:
            shut = True
            message = f"steps.{step.name} never moves it: {_shut(network.when, step, during)}"
            yield _warning(network.node, network.path, message)
    if not found.trains and not shut:
        yield _warning(step.node, path, "never trains: none of its losses is active when it would")


def _shut(gate: When, step: StepConfig, during: When) -> str:
    """Why a gate is never open when the step trains."""
    if (gate & during).first() is None:
        return gate.missed(during)
    return f"it is active {gate}, and the step trains {step.section.trains_when}"


def _phases(step: StepConfig, trains: Iterations) -> Iterator[Fault]:
    """Phases and milestones after the last update, or after the next phase has begun."""
    assert step.optimizer is not None and isinstance(step.optimizer.entry, OptimizerEntry)
    last = trains.last
    assert last is not None
    for phase, following in zip_longest(step.schedule, step.schedule[1:]):
        start, end = _start(phase), _start(following) if following is not None else None
        if start > last:
            message = f"never counts: it starts from {start}, and the last update is at iteration {last}"
            yield _warning(phase.node, phase.path, message)
            continue
        why = f"the last update is at iteration {last}"
        if end is not None and end <= last:
            why = f"the next phase starts from {end}"
        bound = min(last, last if end is None else end - 1)
        warmup = getattr(phase.entry, "warmup", 0)
        if warmup and start + warmup - 1 > bound:
            message = f"never reaches its full rate: it warms up until iteration {start + warmup - 1}, and {why}"
            yield _warning(phase.node, phase.path, message)
        nodes = phase.node.get("milestones")
        for index, milestone in enumerate(milestones_of(phase)):
            if start + milestone > bound:
                since = f", {milestone} after the phase starts," if start else ""
                message = f"iteration {start + milestone}{since} is never reached: {why}"
                yield _warning(_item(nodes, index) or phase.node, f"{phase.path}.milestones", message)


def _start(phase: Component) -> int:
    assert isinstance(phase.entry, ScheduleEntry)
    return phase.entry.from_


def _averages(config: Config, steps: Mapping[str, StepTimeline]) -> Iterator[Fault]:
    section = config.sections.ema
    networks = config.tree.at(("ema", "networks"))
    for index, name in enumerate(section.decays if section else ()):
        if not any(step.networks[name].most for step in steps.values() if name in step.networks):
            node = networks.child(name) or networks.child(index) or networks
            yield _warning(node, "ema.networks", f"the average of {name!r} never moves, since no step moves {name!r}")


def _pictures(config: Config, start: int, stop: int) -> Iterator[Fault]:
    pictures = config.sections.log.pictures
    if pictures is not None and start // pictures.every == stop // pictures.every:
        node = config.tree.at(("log", "pictures", "every"))
        message = f"no picture is drawn: they come every {pictures.every} iterations, and training ends after {stop}"
        yield _warning(node, "log.pictures.every", message)


def _item(node: Node | None, index: int) -> Node | None:
    return node.child(index) if node is not None else None


def _warning(node: Node, path: str, message: str) -> Fault:
    return Fault(node.start, path, message)
