"""The learning rates of a step at any iteration, and the iterations at which they change."""

from __future__ import annotations

from dataclasses import dataclass, field

from artschool.config.numbers import changes_of, log_name
from artschool.config.structure import Component, Config, StepConfig
from artschool.registry.entries import GroupEntry, OptimizerEntry
from artschool.registry.followers import Follower
from artschool.registry.schedule import Schedule


@dataclass(frozen=True)
class Group:
    """Parameters with the same learning rate.

    Attributes:
        name: The pattern of `param_groups` that matches them; "" for parameters that no pattern matches.
        base: The learning rate before the schedule; None if only the code of the optimizer knows it.
        shift: The iteration at which the schedule starts.
        changes: The iterations at which a phase, milestone or warm-up begins or ends.
    """

    name: str
    base: float | None
    shift: int = 0
    schedule: Schedule = field(default_factory=Schedule)
    changes: tuple[int, ...] = ()

    @property
    def follows(self) -> list[str]:
        """The numbers of the log that change the rate, which only the run knows."""
        curves: list[object] = [phase.curve for phase in self.schedule.phases]
        return [curve.metric for curve in curves if isinstance(curve, Follower)]

    def rate(self, iteration: int) -> float | None:
        """The learning rate of an update at an iteration; None if `base` is None. As if no number changed it."""
        return None if self.base is None else self.schedule.rate(self.base, iteration - self.shift)


@dataclass(frozen=True)
class Number:
    """A number that a schedule changes.

    Attributes:
        name: Its name in the log.
        changes: The iterations at which a phase, milestone or warm-up begins or ends.
    """

    name: str
    schedule: Schedule
    changes: tuple[int, ...]


def numbers_of(config: Config) -> list[Number]:
    """The numbers that schedules change, in the order of the file."""
    return [
        Number(log_name(n.path), n.schedule, tuple(sorted({at for phase in n.phases for at in changes_of(phase)})))
        for n in sorted(config.numbers, key=lambda number: (number.node.place.line, number.node.place.column))
    ]


def groups_of(step: StepConfig) -> list[Group]:
    """The groups of a step: first the parameters that no pattern matches, then patterns whose rate may differ."""
    optimizer = step.optimizer
    if optimizer is None or not isinstance(optimizer.entry, OptimizerEntry):
        return []
    schedule, own = step.rates, _number(optimizer.options().get("lr"))
    changes = tuple(sorted({at for phase in (step.shares or step).schedule for at in changes_of(phase)}))
    groups = [Group("", own, 0, schedule, changes)]
    for entry in optimizer.entry.param_groups:
        options = entry.model_extra or {}
        if "lr" in options or entry.schedule_from:
            shift = entry.schedule_from
            base = _number(options["lr"]) if "lr" in options else own
            groups.append(Group(_name(entry), base, shift, schedule, tuple(shift + at for at in changes)))
    return groups


def milestones_of(phase: Component) -> list[int]:
    """The milestones of a phase, counted from its start."""
    listed = phase.options().get("milestones")
    return [at for at in listed if isinstance(at, int)] if isinstance(listed, list) else []


def _name(entry: GroupEntry) -> str:
    kinds = entry.kinds if len(entry.kinds) < len(GroupEntry().kinds) else []
    return " ".join([entry.match, *kinds, *([entry.marked] if entry.marked else [])])


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
