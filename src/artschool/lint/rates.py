"""The learning rates of a step while it trains, and rules about steps that train without an effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from artschool.config.structure import Component, StepConfig
from artschool.config.when import When
from artschool.faults import Fault
from artschool.lint.rule import rules_of
from artschool.lint.subject import Subject, fault, option
from artschool.registry.entries import LossEntry, OptimizerEntry, ScheduleEntry

ALMOST_ZERO = 1e-4
RATE_SAMPLES = 200
HORIZON = 100_000
"""How many iterations are looked at if the end of a run is unknown."""


@dataclass(frozen=True)
class _Group:
    """Parameters with the same learning rate: `base` before the schedule, which starts at iteration `shift`."""

    base: float
    shift: int


def idle_schedule(subject: Subject) -> Iterator[Fault]:
    """The learning rate is almost 0 at every iteration at which a step trains, or trains one of its networks.

    A schedule counts from iteration 0, also in a step that begins later. Where the step begins after the end of its
    schedule, it never learns. Write the first iteration of the step at the schedule: `from: 10000`.
    """
    for step in subject.config.steps.values():
        found = (found for group in _groups(step) for found in _idle(subject, step, group))
        yield from list(found)[:1]  # One mistake makes all groups and networks idle.


def outlived_losses(subject: Subject) -> Iterator[Fault]:
    """A step still runs when the last of its losses has ended.

    Without a loss, it trains nothing. Perhaps `before` of the losses is a number of an earlier plan.
    """
    for step in subject.config.steps.values():
        runs = step.section.when & subject.during
        ends = [loss.when.before for loss in step.losses.values()]
        known = [end for end in ends if end is not None]
        is_called = any(injector.networks for injector in step.injectors.values())
        if step.optimizer is None or is_called or not ends or len(known) < len(ends) or runs.before is None:
            continue  # The rule wasted-work reports injectors that run for nothing.
        if runs.first(max(known) + 1) is not None:
            message = f"runs until iteration {runs.last()}, but the last of its losses ends at {max(known)}"
            yield Fault(
                step.node.start, f"steps.{step.name}", message, f"Fix: write `before: {max(known)}` at the step."
            )


def _groups(step: StepConfig) -> Iterator[_Group]:
    """The groups of a step whose rates the file gives."""
    if step.optimizer is None or not isinstance(step.optimizer.entry, OptimizerEntry):
        return
    own = option(step.optimizer, "lr")
    if isinstance(own, int | float):
        yield _Group(float(own), 0)
    for entry in step.optimizer.entry.param_groups:
        rate = (entry.model_extra or {}).get("lr", own)
        if isinstance(rate, int | float):
            yield _Group(float(rate), entry.schedule_from)


def _idle(subject: Subject, step: StepConfig, group: _Group) -> Iterator[Fault]:
    """The fault of each network that a step trains at a rate of almost 0 only."""
    step_first = min(_first(_trains(subject, step, name)) for name in step.section.trained)
    for name in step.section.trained:
        whens = _trains(subject, step, name)
        first = _first(whens)
        phase = _phase_at(step, first - group.shift) if whens and step.schedule and group.base else None
        if phase is None or not _is_idle(step, group, whens):
            continue
        what = "the step first trains" if first == step_first else f"the step first trains {name!r}"
        message, hint = f"keeps the learning rate at almost 0, also when {what}, at iteration {first}", ""
        if _start(phase) < first - group.shift:
            message = f"has brought the learning rate to almost 0 when {what}, at iteration {first}, and it stays there"
            hint = f"A schedule counts from iteration 0 of the run. Fix: write `from: {first - group.shift}`."
        yield fault(phase, "from", message, hint)


def _first(whens: list[When]) -> int:
    return min((first for when in whens if (first := when.first()) is not None), default=0)


def _trains(subject: Subject, step: StepConfig, network: str) -> list[When]:
    """The iterations at which a step trains a network, as a union."""
    gate = step.moves_when & subject.config.networks[network].when & subject.during
    weighted = [
        loss
        for loss in step.losses.values()
        if isinstance(loss.entry, LossEntry) and (loss.entry.weight or loss.writes)
    ]
    return [when for loss in weighted if (when := gate & loss.when).first() is not None]


def _phase_at(step: StepConfig, iteration: int) -> Component | None:
    """The phase of a schedule at an iteration; None before the first one."""
    started = [phase for phase in step.schedule if _start(phase) <= iteration]
    return started[-1] if started else None


def _is_idle(step: StepConfig, group: _Group, whens: list[When]) -> bool:
    points = {at for when in whens for at in _points(when)}
    points |= {at for when in whens for phase in step.schedule if (at := when.first(_start(phase))) is not None}
    try:
        schedule = step.rates
        return all(schedule.rate(group.base, at - group.shift) <= ALMOST_ZERO * group.base for at in points)
    except Exception:  # A plugin's schedule may raise anything; the check of the file reports it.
        return False


def _points(when: When) -> Iterator[int]:
    """Iterations of a set, spread evenly from the first to the last."""
    first = when.first() or 0
    last = first + HORIZON if when.before is None else when.before
    for index in range(RATE_SAMPLES + 1):
        at = when.first(first + (last - first) * index // RATE_SAMPLES)
        if at is not None:
            yield at


def _start(phase: Component) -> int:
    assert isinstance(phase.entry, ScheduleEntry)
    return phase.entry.from_


RULES = rules_of(idle_schedule, outlived_losses)
