"""Pydantic's errors as faults: at their place in the file, in words for who wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from artschool.config.source import Node
from artschool.errors import Fault, allowed

Model = TypeVar("Model", bound=BaseModel)

EXPECTS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "path_type": "a path",
    "none_required": "null",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "string_too_short": "the name of a key",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
}


def validate(
    model: type[Model], node: Node, path: str, takes: Iterable[str], owner: str
) -> tuple[Model | None, list[Fault]]:
    """Validate a mapping of the file.

    Args:
        takes: The names it may use, for the hint of a fault.
        owner: What takes them, for the same hint.

    Returns:
        The model, or None with every fault that was found.
    """
    try:
        # JSON mode: a list serves as a tuple and text as a path, and still no text passes as a number.
        return model.model_validate_json(json.dumps(node.plain())), []
    except ValidationError as error:
        return None, _faults(error.errors(include_url=False), node, path, list(takes), owner)


def _faults(errors: Sequence[ErrorDetails], node: Node, path: str, takes: list[str], owner: str) -> list[Fault]:
    # The branches of a union fail one by one, at the same place: they make one fault.
    grouped: dict[tuple[str | int, ...], list[ErrorDetails]] = {}
    for error in errors:
        grouped.setdefault(_existing(node, error["loc"]), []).append(error)
    faults = []
    for location, group in grouped.items():
        found = node.at(location)
        where = ".".join([path, *map(str, location)] if path else map(str, location))
        for kind in ("missing", "extra_forbidden"):
            for error in [e for e in group if e["type"] == kind]:
                faults.append(_name_fault(error, found, where, takes, owner, top=len(error["loc"]) == 1))
        values = [error for error in group if error["type"] not in ("missing", "extra_forbidden")]
        if values:
            faults.append(_value_fault(values, found, where))
    return faults


def _existing(node: Node, location: Sequence[str | int]) -> tuple[str | int, ...]:
    """The part of a pydantic location that is there in the file, without the names of union branches."""
    steps: list[str | int] = []
    for step in location:
        if isinstance(node.value, dict) and step in node.value:
            node = node.value[str(step)]
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        else:
            continue
        steps.append(step)
    return tuple(steps)


def _name_fault(error: ErrorDetails, found: Node, where: str, takes: list[str], owner: str, *, top: bool) -> Fault:
    name = str(error["loc"][-1])
    if error["type"] == "missing":
        return Fault(found.key_place or found.place, where, f"needs {name!r}")
    hint = allowed(f"{owner} takes", name, takes) if top else ""
    return Fault(found.key_place or found.place, where, "unknown option", hint)


def _value_fault(errors: list[ErrorDetails], found: Node, where: str) -> Fault:
    expected = list(dict.fromkeys(_expectation(error) for error in errors))
    if errors[0]["type"] == "string_pattern_mismatch":
        place = found.key_place or found.place
        return Fault(place, where, "is no plain name; use letters, digits, '_', '-' and '.', and do not start with '.'")
    hint = ""
    if errors[0]["type"] == "literal_error" and isinstance(found.value, str):
        names = [part.strip("' ") for part in str(errors[0].get("ctx", {})["expected"]).replace(" or ", ",").split(",")]
        hint = allowed("Allowed", found.value, names)
    return Fault(found.place, where, f"expects {' or '.join(expected)}, found {describe(found)}", hint)


def _expectation(error: ErrorDetails) -> str:
    template = EXPECTS.get(error["type"])
    if template is None:
        return error["msg"]
    return template.format(**error.get("ctx", {}))


def describe(node: Node) -> str:
    """What stands in the file, in a few words: `text 'abc'`, `a list of 3`, `null`."""
    value: Any = node.masked()
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"text {value!r}" if len(value) <= 60 else f"text {value[:57]!r}..."
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "a mapping" if isinstance(value, dict) else str(value)
