"""The check of numbers that schedules change: each stays within its bounds at every iteration."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pydantic import TypeAdapter, ValidationError

from artschool.config.component import Component, ScheduledNumber
from artschool.config.structure import Config
from artschool.config.type_names import limits
from artschool.faults import Fault
from artschool.registry.entries import ScheduleEntry
from artschool.registry.signature import NotNegative

SAMPLES = 200
"""Number of iterations, spread over the run, at which a schedule is evaluated besides those at which it changes."""
CHANGES = ("milestones", "period", "iterations", "step_size")
"""Options of schedules that count iterations from the start of their phase."""
GROUPS = ("injectors", "losses", "optimizer", "callbacks", "metrics")
"""Parts of a path that names in the log leave out."""


def check_numbers(config: Config) -> Iterator[Fault]:
    """Faults of schedules that bring a number out of its bounds, or that fail."""
    length = config.length
    for number in (*config.numbers, *_rates(config)):
        if all(phase.entry is not None for phase in number.phases):
            yield from _out_of_bounds(number, length)


def _rates(config: Config) -> Iterator[ScheduledNumber]:
    """The learning rates of the steps that have a schedule."""
    for step in config.steps.values():
        node = step.node.get("schedule")
        rate = getattr(step.optimizer.entry, "option_lr", None) if step.optimizer is not None else None
        if node is not None and step.schedule and isinstance(rate, int | float):
            path = f"steps.{step.name}.schedule"
            yield ScheduledNumber(path, node, step.rates, step.schedule, NotNegative, float(rate))


def _out_of_bounds(number: ScheduledNumber, length: int | None) -> Iterator[Fault]:
    """The first iteration at which a number is out of its bounds."""
    bounds = TypeAdapter(number.number)
    for at in _points(number, length):
        phase = next((p for p in reversed(number.phases) if _start(p) <= at), number.phases[0])
        try:
            value = number.schedule.at(at, number.base)
        except Exception as error:  # The code of a plugin can raise anything.
            message = f"fails at iteration {at}: {type(error).__name__}: {error}"
            yield Fault(phase.node.place, phase.path, message)
            return
        try:
            bounds.validate_python(value, strict=True)
            problem = not math.isfinite(value)
        except ValidationError:
            problem = True
        if problem:
            expected = limits(number.number) or "a finite number"
            shown = f"{value:g}" if isinstance(value, int | float) else type(value).__name__
            yield Fault(phase.node.place, phase.path, f"expected {expected}, got {shown} at iteration {at}")
            return


def _points(number: ScheduledNumber, length: int | None) -> list[int]:
    """The iterations at which a number is checked: where its schedule changes, and some between them."""
    changes = {at for phase in number.phases for at in changes_of(phase)}
    last = max(changes, default=0) if length is None else length - 1
    spread = range(0, last + 1, max(1, last // SAMPLES))
    near = {0, last, *changes, *(at - 1 for at in changes)}
    return sorted({*spread, *(at for at in near if 0 <= at <= last)})


def changes_of(phase: Component) -> Iterator[int]:
    """The iterations at which a phase begins, and at which it changes in another way than before."""
    entry = phase.entry
    assert isinstance(entry, ScheduleEntry)
    yield entry.from_
    if entry.warmup:
        yield entry.from_ + entry.warmup - 1  # The first iteration at the full rate.
    for name, value in phase.options().items():
        if name in CHANGES:
            listed = value if isinstance(value, list) else [value]
            yield from (entry.from_ + at for at in listed if isinstance(at, int))


def _start(phase: Component) -> int:
    assert isinstance(phase.entry, ScheduleEntry)
    return phase.entry.from_


def log_name(path: str) -> str:
    """The name of a number in the log, from its path: `gen/kl/weight`, `gen/weight_decay`, `ema/slow/decay`."""
    names = path.split(".")
    if names[0] in ("steps", "evaluate"):
        names = [names[1], *(names[3:] if names[2] in GROUPS else names[2:])]
    return "/".join(name for name in names if name != "networks")
