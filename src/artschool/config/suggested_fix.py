"""Suggests how to write a value that a model refuses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from artschool.config.scalars import resolve
from artschool.config.source import Node
from artschool.config.write import flow
from artschool.registry import REGISTRIES
from artschool.wording.names import nearest

Location = tuple[str | int, ...]

PARTS = {"optimizer": "optimizers", "schedule": "schedules"}
"""The kinds of components that have no name of their own, by the option that holds them."""
SECTIONS = {"data": "datasets"}
"""The kinds of named components, by section, where the section and the kind have different names."""

SCALARS: Mapping[str, tuple[type, ...]] = {"int_type": (int,), "float_type": (int, float), "bool_type": (bool,)}
"""The types that are expected where pydantic found text."""
BOOLEANS = {"yes": True, "on": True, "no": False, "off": False}
"""Words that are booleans in YAML 1.1, and text in YAML 1.2."""


def suggested_fix(
    model: type[BaseModel], tree: Node, location: Location, errors: Sequence[ErrorDetails], words: Iterable[str]
) -> str:
    """A sentence that says what to write instead; empty if nothing is known, or if one of the words is close.

    Args:
        model: The model that refuses the tree.
        tree: A value of the file.
        location: Location of the wrong value in the tree.
        errors: Pydantic's errors at this location, one for each branch of a union.
        words: The words that are allowed.
    """
    found = tree.at(location)
    value = found.plain()
    if not location or value != found.masked():  # The value of an environment variable is never shown.
        return ""
    types = [error["type"] for error in errors]
    if isinstance(value, str):
        fix = (_in_full(location, value) if "dict_type" in types else "") or _unquoted(value, types)
        if fix or nearest(value, words):
            return fix
    for other in _other_notations(value):
        remaining = _errors_with(model, tree.plain(), location, other)
        if not any(tree.existing(error["loc"])[: len(location)] == location for error in remaining):
            return f"Fix: write `{flow(other)}`."
    return ""


def _in_full(location: Location, name: str) -> str:
    """How to write a component of which only the type is given; empty where no component has that type."""
    above, last = ["", *map(str, location)][-2:]
    kind = PARTS.get(last) or SECTIONS.get(above, above)
    if kind not in REGISTRIES or name not in REGISTRIES[kind]:
        return ""
    if last == "type":
        return f"Fix: give the component a name: `{above}: {{<name>: {{type: {name}}}}}`."
    return f"Fix: write `{last}: {{type: {name}}}`."


def _unquoted(text: str, types: Iterable[str]) -> str:
    """How to write a number or boolean that quotes turn into text; empty elsewhere."""
    plain = resolve(text)
    kinds = {type(plain), int if isinstance(plain, float) and plain.is_integer() else type(plain)}
    is_wanted = any(kinds.intersection(SCALARS.get(each, ())) for each in types)
    return f"Fix: write it without quotes: {text}" if is_wanted else ""


def _other_notations(value: Any) -> Iterator[Any]:
    """What a value may be meant as: a boolean of YAML 1.1, an item of a list, or the only item of a list."""
    if isinstance(value, str) and value.lower() in BOOLEANS:
        yield BOOLEANS[value.lower()]
    if isinstance(value, str | int | float):
        yield [value]
    if isinstance(value, list) and len(value) == 1:
        yield value[0]


def _errors_with(model: type[BaseModel], tree: Any, location: Location, value: Any) -> list[ErrorDetails]:
    """Pydantic's errors once the value at a location is replaced."""
    parent = tree
    for step in location[:-1]:
        parent = parent[step]
    parent[location[-1]] = value
    try:
        model.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        return error.errors(include_url=False)
    return []
