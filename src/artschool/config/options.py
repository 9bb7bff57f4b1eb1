"""What may stand at a path of a file: its type, its default and what the code says of it."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from artschool.config.docstrings import attributes, documented, without_arguments
from artschool.config.sections import FileSections
from artschool.config.source import Node
from artschool.config.type_names import annotation_of
from artschool.registry import REGISTRIES, Registered
from artschool.registry.entries import GroupEntry
from artschool.registry.signature import MISSING, Key, Marker, Role

FROM = "The file that the network is taken from, or {file: other.yml, network: name}; what stands beside counts more."
TYPE = "The name of a component."


@dataclass(frozen=True)
class Option:
    """What may stand at one place of a file.

    Attributes:
        annotation: The type, with its bounds.
        default: MISSING where the file has to say it.
        text: What the documentation says of it.
        owner: The component whose option it is, None in a section.
        fills: The parameter that gets it, where that has another name.
    """

    annotation: Any
    default: Any = MISSING
    text: str = ""
    owner: Registered | None = None
    fills: str = ""

    @property
    def role(self) -> Marker | None:
        """What it names: a key, a network or a component; None for a plain value."""
        return next((marker for _, marker in _alternatives(self.annotation) if marker is not None), None)

    @property
    def section(self) -> type[BaseModel] | None:
        """The model of the mapping that stands here, where it is a section."""
        models = (part for part, _ in _alternatives(self.annotation) if isinstance(part, type))
        return next((part for part in models if issubclass(part, BaseModel)), None)


WHOLE_FILE = Option(FileSections, text="A whole file.")


def option_at(tree: Node, path: Sequence[str]) -> Option | None:
    """What may stand at a path; None where nothing may, or where the type of the component is wrong."""
    option, node = WHOLE_FILE, tree
    for name in path:
        found = below(option, node, name)
        if found is None:
            return None
        option, node = found, node.child(name) or Node({}, node.place)
    return option


def component_at(option: Option, node: Node) -> Registered | None:
    """The component that an entry names, None where it is no entry or names none."""
    marker, name = option.role, node.get("type")
    if marker is None or marker.role is not Role.NESTED or name is None:
        return None
    registry = REGISTRIES[marker.kind]
    return registry.get(str(name.value)) if name.value in registry else None


def names_below(option: Option, node: Node) -> dict[str, Option]:
    """What may stand below a mapping, by name; nothing where its names are free."""
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
    return {name: replace(each, owner=option.owner) for name, each in below.items()}


def below(option: Option, node: Node, name: str) -> Option | None:
    """What may stand at a name of a mapping, or an index of a list; None where nothing may."""
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
            fitting = [each for each in arguments_ if each is not ...]
            return Option(fitting[min(int(name), len(fitting) - 1)], text=option.text, owner=option.owner)
    return None


def _of_model(model: type[BaseModel]) -> dict[str, Option]:
    texts = attributes(model)
    options = {}
    for field, info in model.model_fields.items():
        name = info.alias or field
        default = MISSING if info.is_required() else info.get_default(call_default_factory=True)
        options[name] = Option(annotation_of(info), default, texts.get(name, ""))
    if model is FileSections:
        text = "A file, or a list of files, to start from; what this file says counts more."
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
    inputs = [parameter.name for parameter in component.signature.inputs]
    if inputs and not is_nested:
        text = f"Fills {', '.join(inputs)}, in this order."
        options["in"] = Option(Key | list[Key], None, text, component, fills=inputs[0])
    if component.kind.name == "networks":
        options["from"] = Option(str | dict[str, str], None, FROM, component)
    return options


def _alternatives(annotation: Any) -> Iterator[tuple[Any, Marker | None]]:
    """The parts of a union, without what stands beside them, each with what it names."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        marker = next((extra for extra in parts[1:] if isinstance(extra, Marker)), None)
        for part, inner in _alternatives(parts[0]):
            yield part, marker or inner
    elif origin in (typing.Union, types.UnionType):
        for part in parts:
            yield from _alternatives(part)
    elif origin in (list, tuple, dict) and not _has_components(parts):
        # A list of keys names keys as one key does; what stands in a mapping of components is the components.
        yield annotation, next((marker for part in parts for _, marker in _alternatives(part) if marker), None)
    else:
        yield annotation, None


def _has_components(parts: Sequence[Any]) -> bool:
    found = (marker for part in parts for _, marker in _alternatives(part))
    return any(marker is not None and marker.role is Role.NESTED for marker in found)
