"""An entry of the file with a `type:`: its component, its options, and the keys and networks it names."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from artschool.config.source import Node
from artschool.config.when import ALWAYS, When
from artschool.faults import Place
from artschool.registry import Registered
from artschool.registry.entries import Gated, ScheduleEntry
from artschool.registry.schedule import Phase, Schedule, curve_of
from artschool.registry.signature import Role


@dataclass(frozen=True)
class Use:
    """A key or network that a component names, with the parameter that names it and the location."""

    parameter: str
    name: str
    place: Place


@dataclass
class Component:
    """An entry of the file: a component with its options and the keys that it reads and writes.

    `registered` and `entry` are None for a faulty entry, whose `writes` are known nevertheless.
    """

    kind: str
    path: str
    node: Node
    registered: Registered | None = None
    entry: BaseModel | None = None
    nested: dict[str, Component | list[Component]] = field(default_factory=dict)

    def option(self, name: str) -> Any:
        """The value of one option of the component itself."""
        return getattr(self.entry, f"option_{name}")

    def options(self) -> dict[str, Any]:
        """The component's own options by parameter, including defaults and those that `**options` takes."""
        assert self.registered is not None
        return {p.name: self.option(p.name) for p in self.registered.signature.of(Role.OPTION)} | self.others

    @property
    def others(self) -> dict[str, Any]:
        """The options that `**options` takes."""
        return dict(self.entry.model_extra or {}) if self.entry is not None else {}

    @property
    def when(self) -> When:
        """The iterations at which the gates of its own entry are open."""
        entry = self.entry
        return When.gated(entry.after, entry.before, entry.every) if isinstance(entry, Gated) else ALWAYS

    @property
    def phase(self) -> Phase:
        """The phase that the entry of a schedule describes."""
        assert isinstance(self.entry, ScheduleEntry) and self.registered is not None
        curve = curve_of(self.registered.target, self.options())
        return Phase(curve, self.entry.from_, self.entry.scale, self.entry.warmup)

    @property
    def reads(self) -> list[Use]:
        """The keys it reads: in the order of its parameters, then that of its weight."""
        return [*self.inputs, *self.weighed_by]

    @property
    def inputs(self) -> list[Use]:
        """The keys it reads when it is called, in the order of its parameters."""
        return list(self._uses(Role.KEY))

    @property
    def weighed_by(self) -> list[Use]:
        """The key of the weight of a loss, which the step reads when it adds up the losses; none for a number."""
        weight, node = getattr(self.entry, "weight", None), self.node.get("weight") or self.node
        return [Use("weight", weight, node.place)] if self.kind == "losses" and isinstance(weight, str) else []

    @property
    def networks(self) -> list[Use]:
        """The networks it calls, including those of nested components."""
        return [*self._uses(Role.NETWORK), *(use for component in self.inner for use in component.networks)]

    @property
    def inner(self) -> list[Component]:
        """The components directly inside it."""
        parts = self.nested.values()
        return [component for part in parts for component in (part if isinstance(part, list) else [part])]

    @property
    def writes(self) -> list[Use]:
        """The keys that `out:` names."""
        has_out = self.kind in ("injectors", "losses")
        out = (self.node.get("out") if has_out else None) or Node(None, self.node.place, None)
        nodes = out.value if isinstance(out.value, list) else [out]
        return [Use("out", n.value, n.place) for n in nodes if isinstance(n.value, str) and n.value != "_"]

    def _uses(self, role: Role) -> Iterator[Use]:
        if self.registered is None or self.entry is None:
            return
        for parameter in self.registered.signature.of(role):
            if not hasattr(self.entry, f"option_{parameter.name}"):
                continue  # A nested component gets its keys from the component around it.
            node = self.node.get(parameter.name) or self.node
            for name in names_in(self.option(parameter.name)):
                yield Use(parameter.name, name, _place_of(node, name))


@dataclass(frozen=True)
class ScheduledNumber:
    """A number of the file that a schedule changes.

    Attributes:
        path: Path of the number.
        phases: The phases of its schedule.
        number: The type of the number, with its bounds.
        base: What the schedule multiplies.
    """

    path: str
    node: Node
    schedule: Schedule
    phases: Sequence[Component]
    number: Any
    base: float = 1.0


def names_in(value: Any) -> Iterator[str]:
    """Every name of a key or network in a validated value, also inside lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from names_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from names_in(part)


def network_of(name: str) -> str:
    """The network of a name that may be that of a moving average: `gen` for `gen`, `gen.ema` and `gen.slow`."""
    return name.partition(".")[0]


def _place_of(node: Node, name: str) -> Place:
    if isinstance(node.value, list | dict):
        parts = node.value if isinstance(node.value, list) else list(node.value.values())
        return next((part.place for part in parts if part.value == name), node.place)
    return node.place


def takes_list(annotation: Any) -> bool:
    """Whether a list in the file is a value of this type."""
    if typing.get_origin(annotation) is list:
        return True
    return any(typing.get_origin(part) is list for part in typing.get_args(annotation))
