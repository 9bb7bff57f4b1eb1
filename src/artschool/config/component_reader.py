"""Reads the entries of a file that have a `type:`."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from artschool.config.component import Component, ScheduledNumber, takes_list
from artschool.config.messages import describe, validate
from artschool.config.source import Node
from artschool.faults import Fault, FaultKind, Place
from artschool.registry import REGISTRIES, Registered, Registry, other_kind, synonym_of
from artschool.registry.entries import GroupEntry, OptimizerEntry
from artschool.registry.schedule import Schedule, Unread, has_unread
from artschool.registry.signature import Parameter, Role
from artschool.registry.units import Units
from artschool.wording.counting import counted
from artschool.wording.names import MAX_LISTED, allowed, closest_name, did_you_mean
from artschool.wording.synonyms import OPTIONS, TYPES


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
            self.faults.append(_unknown_component(registry, str(name.masked()), name.place, f"{path}.type"))
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
    kind, many, names = registry.kind.name, registry.kind.many, registry.names()
    synonyms = TYPES.get(kind)
    other, close = other_kind(registry, name), closest_name(name, names, synonyms)
    if other:
        hint = f"{other} {did_you_mean(close)}".strip()
        if kind == "metrics" and synonym_of(REGISTRIES["losses"], name) and not close:
            hint += " Fix: write `steps` in place of the metric: the evaluation then reports the losses of these steps."
    elif "." in name:
        hint = f"A type is a registered name. Fix: register it with `@{kind}.register`, and list its file in `plugins`."
    elif close is None and len(names) > MAX_LISTED:
        hint = f"There are {len(names)} {many}; `artschool components {kind}` lists them."
    else:
        hint = allowed(f"Available {many}", name, names, synonyms)
    message, sort = f"unknown {registry.kind.one} {name!r}", FaultKind.UNKNOWN_COMPONENT
    return Fault(place, path, message, hint, kind=sort, found=name, known=tuple(sorted(names)), suggestion=close)


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


def mappings(tree: Node, key: str) -> Iterator[tuple[str, Node]]:
    """The entries of a section that are mappings. Validating the section reports the others."""
    section = tree.get(key)
    if section is not None and isinstance(section.value, dict):
        for name, node in section.value.items():
            if isinstance(node.value, dict):
                yield name, node
