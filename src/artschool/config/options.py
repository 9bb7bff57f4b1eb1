"""The option at a path of a file: its type, its default and its documentation."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from artschool.config.component import takes_list
from artschool.config.docstrings import attributes, documented, without_arguments
from artschool.config.sections import FileSections
from artschool.config.source import Node
from artschool.config.type_names import annotation_of
from artschool.registry import REGISTRIES, Registered
from artschool.registry.entries import GroupEntry
from artschool.registry.schedule import forms_of
from artschool.registry.signature import MISSING, Key, Marker, Parameter, Role

FROM = (
    "File from which to take the network of this name, or {file: other.yml, network: name} for one of another name. "
    "Options in this file take precedence."
)
TYPE = "Name of the component."


@dataclass(frozen=True)
class Option:
    """The option at one path of a file.

    Attributes:
        annotation: The type, with its bounds.
        default: The default; MISSING for an option that the file must set.
        text: The documentation.
        owner: The component whose option it is; None in a section.
        fills: The parameter that it sets, where that has another name; "" otherwise.
    """

    annotation: Any
    default: Any = MISSING
    text: str = ""
    owner: Registered | None = None
    fills: str = ""

    @property
    def role(self) -> Marker | None:
        """The role of its value as the name of a key or network, or as a component; None for a plain value."""
        return next((marker for _, marker in _alternatives(self.annotation) if marker is not None), None)

    @property
    def section(self) -> type[BaseModel] | None:
        """The model of the mapping at this path, where it is a section."""
        models = (part for part, _ in _alternatives(self.annotation) if isinstance(part, type))
        return next((part for part in models if issubclass(part, BaseModel)), None)


WHOLE_FILE = Option(FileSections, text="The whole file.")


def option_at(tree: Node, path: Sequence[str]) -> Option | None:
    """The option at a path; None where the path is not allowed, or where the component's type is unknown."""
    option, node = WHOLE_FILE, tree
    for name in path:
        found = below(option, node, name)
        if found is None:
            return None
        option, node = found, node.child(name) or Node({}, node.place)
    return option


def component_at(option: Option, node: Node) -> Registered | None:
    """The component of an entry; None where the node is not an entry, or its type is missing or unknown."""
    marker, name = option.role, node.get("type")
    if marker is None or marker.role is not Role.NESTED or name is None:
        return None
    registry = REGISTRIES[marker.kind]
    return registry.get(str(name.value)) if name.value in registry else None


def names_below(option: Option, node: Node) -> dict[str, Option]:
    """The options of a mapping, by name; empty where its keys are free."""
    component = component_at(option, node)
    if component is not None:
        return _of_component(component, is_nested=option.owner is not None)
    model = option.section
    if model is None:
        return {}
    below = _of_model(model)
    if model is GroupEntry and option.owner is not None:
        own = _of_component(option.owner, is_nested=False)
        below |= {p.name: own[p.name] for p in option.owner.signature.of(Role.OPTION)}
    return {name: replace(inner, owner=option.owner) for name, inner in below.items()}


def below(option: Option, node: Node, name: str) -> Option | None:
    """The option under a key of a mapping or at an index of a list; None where that key is not allowed."""
    fixed = names_below(option, node)
    if fixed:
        return fixed.get(name)
    if option.fills and name.isdecimal() and option.owner is not None:
        inputs = option.owner.signature.inputs
        index = min(int(name), len(inputs) - 1)
        return replace(_of_component(option.owner, is_nested=False)[inputs[index].name], fills=inputs[index].name)
    for part, _ in _alternatives(option.annotation):
        origin, arguments_ = typing.get_origin(part), typing.get_args(part)
        if origin is dict and not name.isdecimal():
            return Option(arguments_[1], text=option.text, owner=option.owner)
        if origin in (list, tuple) and name.isdecimal():
            parts = [part for part in arguments_ if part is not ...]
            return Option(parts[min(int(name), len(parts) - 1)], text=option.text, owner=option.owner)
    return None


def _of_model(model: type[BaseModel]) -> dict[str, Option]:
    texts = attributes(model)
    options = {}
    for field, info in model.model_fields.items():
        name = info.alias or field
        default = MISSING if info.is_required() else info.get_default(call_default_factory=True)
        options[name] = Option(annotation_of(info), default, texts.get(name, ""))
    if model is FileSections:
        text = "File, or list of files, to build on. Later files take precedence over earlier ones, this file over all."
        options["base"] = Option(str | list[str] | None, None, text)
    return options


def _of_component(component: Registered, *, is_nested: bool) -> dict[str, Option]:
    model = component.nested if is_nested else component.model
    texts = documented(component)
    options = {
        name: replace(option, text=texts.get(name, option.text), owner=component)
        for name, option in _of_model(model).items()
    }
    options["type"] = Option(str, text=without_arguments(component.documentation) or TYPE, owner=component)
    inputs = component.signature.inputs
    if inputs and not is_nested:
        options["in"] = Option(Key | list[Key], None, documented_inputs(inputs), component, fills=inputs[0].name)
    if component.kind.name == "networks":
        options["from"] = Option(str | dict[str, str], None, FROM, component)
    return options


def documented_inputs(inputs: Sequence[Parameter]) -> str:
    """The documentation of `in:` of a component with these input parameters, at least one."""
    names = ", ".join(parameter.name for parameter in inputs)
    if len(inputs) > 1:
        return f"Keys for {names}, in this order."
    return f"Keys for {names}." if takes_list(inputs[0].annotation) else f"Key for {names}."


def _alternatives(annotation: Any) -> Iterator[tuple[Any, Marker | None]]:
    """The branches of a union without their metadata, each with the marker of what it names."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated and (scheduled := forms_of(parts[1:])):
        for part in scheduled:
            yield from _alternatives(part)
    elif origin is typing.Annotated:
        marker = next((extra for extra in parts[1:] if isinstance(extra, Marker)), None)
        for part, inner in _alternatives(parts[0]):
            yield part, marker or inner
    elif origin in (typing.Union, types.UnionType):
        for part in parts:
            yield from _alternatives(part)
    elif origin in (list, tuple, dict) and not _has_components(parts):
        # A list of keys has the role of a key; a mapping of components does not have a role.
        yield annotation, next((marker for part in parts for _, marker in _alternatives(part) if marker), None)
    else:
        yield annotation, None


def _has_components(parts: Sequence[Any]) -> bool:
    found = (marker for part in parts for _, marker in _alternatives(part))
    return any(marker is not None and marker.role is Role.NESTED for marker in found)
