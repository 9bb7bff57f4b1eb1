"""An entry of the file with a `type:`: its component, its options, and the keys and networks it names."""

from __future__ import annotations

import operator
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from artschool.config.messages import describe, validate
from artschool.config.source import Node
from artschool.config.when import ALWAYS, When
from artschool.errors import MAX_LISTED, Fault, FaultKind, Place, allowed, nearest
from artschool.registry import REGISTRIES, Registered, Registry, other_kind
from artschool.registry.entries import Gated, GroupEntry, OptimizerEntry, ScheduleEntry
from artschool.registry.schedule import Phase, Schedule, Unread, curve_of, has_unread
from artschool.registry.signature import Parameter, Role
from artschool.registry.units import Units
from artschool.wording.counting import counted
from artschool.wording.synonyms import OPTIONS, TYPES


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
        """The component's own options by parameter, including defaults."""
        assert self.registered is not None
        return {p.name: self.option(p.name) for p in self.registered.signature.of(Role.OPTION)}

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


class ComponentReader:
    """Reads components, and collects their faults and the numbers that schedules change.


    Args:
        units: What an iteration is in epochs and samples. None: numbers have no units.
    """

    def __init__(self, units: Units | None = None) -> None:
        self.faults: list[Fault] = []
        self.numbers: list[ScheduledNumber] = []
        self._units = units

    def components(self, kind: str, node: Node, path: str) -> dict[str, Component]:
        """The components in the mapping of `node` that the last part of `path` names, by name."""
        return {
            name: self.component(kind, entry, f"{path}.{name}")
            for name, entry in mappings(node, path.rpartition(".")[2])
        }

    def component(self, kind: str, node: Node, path: str, *, nested: bool = False) -> Component:
        """One component; a faulty one has no `entry`."""
        component = Component(kind, path, node)
        registered = self._registered(kind, node, path)
        if registered is None:
            return component
        model = registered.nested if nested else registered.model
        if not nested:
            if (given := node.get("in")) is not None and isinstance(given.value, dict):
                names = ", ".join(parameter.name for parameter in registered.signature.inputs)
                hint = f"Fix: write each key as an option: {names}." if names else ""
                expected = ("a key", "a list")
                self.faults.append(Fault.wrong_value(given.place, f"{path}.in", expected, "a mapping", fix=hint))
                return component
            component.node = node = self._name_inputs(registered, node, path)
        takes = [name for name in registered.takes if not nested or name in _aliases(model)]
        entry, faults = validate(model, node, path, takes, registered.name, units=self._units)
        self.faults += faults
        component.registered, component.entry = registered, entry
        if entry is not None:
            self.numbers_in(entry, node, path)
            component.nested = self._nested(registered, node, path)
        if isinstance(entry, OptimizerEntry):
            self._check_groups(registered, entry, node, path)
        return component

    def phases(self, node: Node | None, path: str) -> list[Component]:
        """The phases of a schedule: one entry, or a list of them."""
        is_list = node is not None and isinstance(node.value, list)
        return [
            self.component("schedules", phase, f"{path}.{index}" if is_list else path)
            for index, phase in enumerate(node.children() if node is not None and is_list else [node])
            if phase is not None and isinstance(phase.value, dict)
        ]

    def numbers_in(self, value: Any, node: Node, path: str) -> Any:
        """The value with a `Schedule` in place of each `Unread` one, also inside lists, mappings and sections."""
        if isinstance(value, Unread):
            phases = self.phases(node, path)
            schedule = Schedule([phase.phase for phase in phases if phase.entry is not None], value.written)
            self.numbers.append(ScheduledNumber(path, node, schedule, phases, value.number))
            return schedule
        if isinstance(value, BaseModel):
            for name, info in type(value).model_fields.items():
                before = getattr(value, name)
                if (after := self._number_below(before, node, path, info.alias or name)) is not before:
                    setattr(value, name, after)
        elif isinstance(value, dict):
            for name, part in value.items():
                value[name] = self._number_below(part, node, path, name)
        elif isinstance(value, list | tuple) and value:
            parts = [self._number_below(part, node, path, index) for index, part in enumerate(value)]
            return value if all(map(operator.is_, parts, value)) else type(value)(parts)
        return value

    def _number_below(self, value: Any, node: Node, path: str, name: str | int) -> Any:
        if not isinstance(value, Unread | BaseModel | dict | list | tuple):
            return value
        return self.numbers_in(value, node.child(name) or node, f"{path}.{name}" if path else str(name))

    def _registered(self, kind: str, node: Node, path: str) -> Registered | None:
        registry = REGISTRIES[kind]
        name = node.get("type")
        if name is None:
            glued = next((key for key in _mapping(node) if key.startswith("type:")), None)
            fix = f"Fix: write a space after the ':' in {glued!r}." if glued is not None else ""
            hint = fix or f"`artschool components {kind}` lists the types."
            self.faults.append(Fault.missing_option(node.start, path, "type", hint=hint))
        elif not isinstance(name.value, str):
            self.faults.append(Fault.wrong_value(name.place, f"{path}.type", ["a name"], describe(name)))
        elif name.value not in registry:
            self.faults.append(_unknown_component(registry, name.value, name.place, f"{path}.type"))
        else:
            return registry.get(name.value)
        return None

    def _check_groups(self, registered: Registered, entry: OptimizerEntry, node: Node, path: str) -> None:
        """Check the options in `param_groups`, which may be any of the optimizer's own, and read their schedules."""
        own = {key: child for key, child in _mapping(node).items() if key != "param_groups"}
        options = [parameter.name for parameter in registered.signature.of(Role.OPTION)]
        groups = node.get("param_groups")
        for index, group in enumerate(groups.children() if groups is not None else ()):
            where, known = f"{path}.param_groups.{index}", own
            for key, child in _mapping(group).items():
                if key in options:
                    known = {**known, key: child}
                elif key not in GroupEntry.model_fields:
                    names, owner = [*GroupEntry.model_fields, *options], f"a group of {registered.name}"
                    place, at = child.start, f"{where}.{key}"
                    self.faults.append(Fault.unknown_option(place, at, key, names, owner=owner, synonyms=OPTIONS))
            whole, faults = validate(
                registered.model, replace(node, value=known), where, (), registered.name, units=self._units
            )
            self.faults += faults
            options_of_group = entry.param_groups[index].model_extra or {}
            for key in options_of_group.keys() & set(options) if whole is not None else ():
                value = getattr(whole, f"option_{key}")
                if has_unread(value):
                    options_of_group[key] = self._number_below(value, group, where, key)

    def _name_inputs(self, registered: Registered, node: Node, path: str) -> Node:
        """Replace `in:` by the parameters that it sets."""
        given, inputs = node.get("in"), registered.signature.inputs
        if given is None or not inputs:
            return node
        values = _spread(given, inputs)
        if len(values) > len(inputs):
            names = ", ".join(parameter.name for parameter in inputs)
            self.faults.append(
                Fault(
                    given.place,
                    f"{path}.in",
                    f"{registered.name} reads {counted(len(inputs), 'key')} ({names}), got {len(values)}",
                )
            )
        mapping = {key: value for key, value in _mapping(node).items() if key != "in"}
        for parameter, value in zip(inputs, values, strict=False):
            if parameter.name in mapping:
                self.faults.append(
                    Fault(given.place, f"{path}.in", f"sets {parameter.name!r}, which is also set by name; remove one")
                )
            mapping[parameter.name] = value
        return replace(node, value=mapping)

    def _nested(self, registered: Registered, node: Node, path: str) -> dict[str, Component | list[Component]]:
        inner: dict[str, Component | list[Component]] = {}
        for parameter in registered.signature.of(Role.NESTED):
            child, where, kind = node.get(parameter.name), f"{path}.{parameter.name}", parameter.nested_kind
            if child is not None and isinstance(child.value, dict):
                inner[parameter.name] = self.component(kind, child, where, nested=True)
            elif child is not None and isinstance(child.value, list):
                inner[parameter.name] = [
                    self.component(kind, part, f"{where}.{index}", nested=True)
                    for index, part in enumerate(child.value)
                ]
        return inner


def _unknown_component(registry: Registry, name: str, place: Place, path: str) -> Fault:
    kind, names = registry.kind.name, registry.names()
    other, close = other_kind(registry, name), nearest(name, names, TYPES.get(kind))
    if other:
        hint = f"{other} {close}".strip()
    elif not close and len(names) > MAX_LISTED:
        hint = f"There are {len(names)} {kind}; `artschool components {kind}` lists them."
    else:
        hint = allowed(f"Available {kind}", name, names, TYPES.get(kind))
    message, sort = f"unknown {registry.kind.one} {name!r}", FaultKind.UNKNOWN_COMPONENT
    return Fault.unknown_name(place, path, message, name, names, hint=hint, synonyms=TYPES.get(kind), kind=sort)


def _mapping(node: Node) -> dict[str, Node]:
    return node.value if isinstance(node.value, dict) else {}


def _aliases(model: type[BaseModel]) -> set[str]:
    return {info.alias or name for name, info in model.model_fields.items()}


def _spread(given: Node, inputs: list[Parameter]) -> list[Node]:
    """The part of `in:` for each parameter. A single parameter that takes a list gets the whole list."""
    values = given.value if isinstance(given.value, list) else [given]
    if len(inputs) == 1 and takes_list(inputs[0].annotation):
        return [given if isinstance(given.value, list) else replace(given, value=values)]
    return values


def takes_list(annotation: Any) -> bool:
    """Whether a list in the file is a value of this type."""
    if typing.get_origin(annotation) is list:
        return True
    return any(typing.get_origin(part) is list for part in typing.get_args(annotation))


def mappings(tree: Node, key: str) -> Iterator[tuple[str, Node]]:
    """The entries of a section that are mappings. Validating the section reports the others."""
    section = tree.get(key)
    if section is not None and isinstance(section.value, dict):
        for name, node in section.value.items():
            if isinstance(node.value, dict):
                yield name, node
