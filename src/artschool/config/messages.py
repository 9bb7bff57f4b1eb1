"""Pydantic's errors as faults: at their place in the file, in words for who wrote it."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from artschool.config.scalars import resolve
from artschool.config.shorthand import in_full
from artschool.config.source import Node
from artschool.errors import Fault, FaultKind, nearest
from artschool.wording.synonyms import OPTIONS

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]

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
    "string_too_long": "at most {max_length} characters",
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length}",
    "string_pattern_mismatch": "text that matches {pattern}",
}

SCALARS: Mapping[str, tuple[type, ...]] = {"int_type": (int,), "float_type": (int, float), "bool_type": (bool,)}
"""What is wanted where pydantic found text."""


def validate(
    model: type[Model],
    node: Node,
    path: str,
    takes: Iterable[str],
    owner: str,
    *,
    home: Callable[[str], str] | None = None,
) -> tuple[Model | None, list[Fault]]:
    """Validate what stands at a node.

    Args:
        path: Path of the node, for the faults.
        takes: The names that may stand there, for the hint of an unknown one.
        owner: Who takes them, for the same hint.
        home: Says where a name belongs that may not stand there.

    Returns:
        The model, or None with every fault that was found.
    """
    try:
        # JSON mode: a list serves as a tuple and text as a path, and still no text passes as a number.
        return model.model_validate_json(json.dumps(node.plain())), []
    except ValidationError as error:
        return None, _Faults(model, node, path, list(takes), owner, home).of(error.errors(include_url=False))


class _Faults:
    """Turns the errors of one validation into faults."""

    def __init__(
        self,
        model: type[BaseModel],
        node: Node,
        path: str,
        takes: list[str],
        owner: str,
        home: Callable[[str], str] | None,
    ) -> None:
        self._model = model
        self._node = node
        self._path = path
        self._takes = takes
        self._owner = owner
        self._home = home

    def of(self, errors: Sequence[ErrorDetails]) -> list[Fault]:
        """The faults, one for each thing that is wrong."""
        # The branches of a union fail one by one, at the same place: they make one fault.
        grouped: dict[Location, list[ErrorDetails]] = {}
        for error in errors:
            grouped.setdefault(_existing(self._node, error["loc"]), []).append(error)
        # A mapping that lacks what it needs and is named like a part of it is that part, one level too high.
        high = [loc for loc, group in grouped.items() if _lacks(group) and loc and loc[-1] in self._names_at(loc)]
        faults = [self._too_high(location, high) for location in high]
        for location, group in grouped.items():
            if any(location[: len(other)] == other for other in high):
                continue
            missing = [str(e["loc"][-1]) for e in group if e["type"] == "missing" and isinstance(e["loc"][-1], str)]
            # A name that is missing because it stands there misspelt is one mistake, not two.
            unknown = [str(loc[-1]) for loc in grouped if loc[:-1] == location and _is_unknown(grouped[loc])]
            missing = [name for name in missing if not any(nearest(other, [name], OPTIONS) for other in unknown)]
            faults += [self._missing(location, name) for name in missing]
            faults += [self._misnamed(location, error) for error in group if error["type"] == "plain_name"]
            if _is_unknown(group):
                faults.append(self._unknown(location))
            values = [e for e in group if e["type"] not in ("missing", "extra_forbidden", "plain_name")]
            short = [error for error in group if error["type"] == "missing" and isinstance(error["loc"][-1], int)]
            # Where one branch of a union got further than others, what the others expected says nothing.
            further = any(len(other) > len(location) and other[: len(location)] == location for other in grouped)
            if (values or short) and not further and len(values) + len(short) == len(group):
                faults.append(self._value(location, values, short))
        return faults

    def _missing(self, location: Location, name: str) -> Fault:
        found = self._node.at(location)
        return Fault.missing_option(found.start, self._where(location), name)

    def _too_high(self, location: Location, high: Sequence[Location]) -> Fault:
        found, above, name = self._node.at(location), self._node.at(location[:-1]), str(location[-1])
        beside = above.value if isinstance(above.value, dict) else {}
        entry = next((each for each in beside if (*location[:-1], each) not in high), "<name>")
        owner = self._where(location[:-1])
        example = f"{owner}.{entry}.{name}"
        return Fault.misplaced_option(found.start, self._where(location), owner=owner, example=example)

    def _names_at(self, location: Location) -> list[str]:
        return _names_in(self._model, location)

    def _unknown(self, location: Location) -> Fault:
        found, parent, name = self._node.at(location), location[:-1], str(location[-1])
        names = self._names_at(parent) if parent else self._takes
        owner = self._where(parent) if parent else self._owner
        home = self._home(name) if self._home is not None else ""
        path = self._where(location)
        return Fault.unknown_option(found.start, path, name, names, owner=owner, synonyms=OPTIONS, home=home)

    def _misnamed(self, location: Location, error: ErrorDetails) -> Fault:
        found = self._node.at(location)
        is_key = error["loc"][-1] == "[key]"  # So pydantic marks a location whose key is wrong, not its value.
        place, name = (found.start, location[-1]) if is_key else (found.place, found.masked())
        path, message = self._where(location[:-1] if is_key else location), f"{name!r} {error['msg']}"
        return Fault(place, path, message, kind=FaultKind.INVALID_NAME, found=str(name))

    def _value(self, location: Location, errors: list[ErrorDetails], short: list[ErrorDetails]) -> Fault:
        found = self._node.at(location)
        if short:
            expected = [f"at least {1 + max(int(error['loc'][-1]) for error in short)}"]
        else:
            sizes = [error for error in errors if error["type"] in ("too_short", "too_long")]
            expected = list(dict.fromkeys(_expectation(error) for error in sizes or errors))
        path, text = self._where(location), found.value
        if not isinstance(text, str):
            return Fault.wrong_value(found.place, path, expected, describe(found))
        is_entry = any(error["type"] == "dict_type" for error in errors)
        full = in_full(location, str(found.masked())) if is_entry else ""
        fix = full or _unquoted(found, errors)
        names = _literals_in(self._model, location) if any(e["type"] == "literal_error" for e in errors) else []
        return Fault.wrong_value(found.place, path, expected, describe(found), name=text, known=names, fix=fix)

    def _where(self, location: Location) -> str:
        return ".".join([self._path, *map(str, location)] if self._path else map(str, location))


def _existing(node: Node, location: Sequence[str | int]) -> Location:
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


def _lacks(errors: Sequence[ErrorDetails]) -> bool:
    """Whether a mapping is none, or lacks something by name."""
    return any(e["type"] == "model_type" or (e["type"] == "missing" and isinstance(e["loc"][-1], str)) for e in errors)


def _is_unknown(errors: Sequence[ErrorDetails]) -> bool:
    return any(error["type"] == "extra_forbidden" for error in errors)


def _names_in(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The options that a mapping takes, at a location below a model; none where its keys are free."""
    return next((list(_fields(part)) for part in _types_at(model, location) if _is_model(part)), [])


def _literals_in(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The literal values that are allowed at a location below a model, as text."""
    literals = (part for part in _types_at(model, location) if typing.get_origin(part) is typing.Literal)
    return [str(value) for part in literals for value in typing.get_args(part)]


def _types_at(annotation: Any, location: Sequence[str | int]) -> Iterator[Any]:
    """The types that are allowed at a location below a type, one for each branch of a union."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        yield from _types_at(arguments[0], location)
    elif origin in (typing.Union, types.UnionType):
        for part in arguments:
            yield from _types_at(part, location)
    elif not location:
        yield annotation
    elif _is_model(annotation):
        yield from _types_at(_fields(annotation).get(str(location[0])), location[1:])
    elif origin in (dict, list, tuple):
        parts = [part for part in arguments if part is not ...]
        index = min(int(location[0]), len(parts) - 1) if origin is tuple else -1
        yield from _types_at(parts[index], location[1:])


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """The types of a model's fields, by the names that a file uses."""
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _expectation(error: ErrorDetails) -> str:
    template = EXPECTS.get(error["type"])
    if template is None:
        return error["msg"]
    bounds = error.get("ctx", {}).items()
    return template.format(**{name: f"{value:g}" if isinstance(value, float) else value for name, value in bounds})


def _unquoted(node: Node, errors: Sequence[ErrorDetails]) -> str:
    """The way out where quotes make text of a number that was wanted, or of true and false; nothing elsewhere."""
    text = node.value
    # What the environment says is not shown.
    plain = resolve(text) if isinstance(text, str) and text == node.masked() else None
    kinds = {type(plain), int if isinstance(plain, float) and plain.is_integer() else type(plain)}
    is_wanted = any(kinds.intersection(SCALARS.get(error["type"], ())) for error in errors)
    return f"Write it without quotes: {text}" if is_wanted else ""


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
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    return str(value)
