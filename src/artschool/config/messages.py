"""Turns pydantic's errors into faults, with their locations in the file and in the words of its language."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from artschool.config.model_types import literals_at, option_names_at
from artschool.config.names import INVALID_NAME
from artschool.config.paths import resolve_paths
from artschool.config.source import Node
from artschool.config.suggested_fix import suggested_fix
from artschool.faults import Fault, FaultKind
from artschool.registry.units import Units
from artschool.wording.counting import counted
from artschool.wording.names import nearest
from artschool.wording.synonyms import OPTIONS

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]
Groups = Mapping[Location, Sequence[ErrorDetails]]
"""Pydantic's errors by their location in the file."""
NOT_OF_VALUES = ("extra_forbidden", INVALID_NAME)
"""The types of errors that are not about a value."""

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
    "too_short": "at least {min_items}",
    "too_long": "at most {max_items}",
    "string_pattern_mismatch": "text that matches {pattern}",
}

LIMITS = ("too_short", "too_long", "greater_than", "greater_than_equal", "less_than", "less_than_equal")
"""The types of errors that are about a limit."""


def validate(
    model: type[Model],
    node: Node,
    path: str,
    takes: Iterable[str],
    owner: str,
    *,
    units: Units | None = None,
    home: Callable[[str], str] | None = None,
) -> tuple[Model | None, list[Fault]]:
    """Validate the value of a node.

    Args:
        path: Path of the node in the file.
        takes: The options that are allowed, for the hint about an unknown one.
        owner: The component or section that takes them, for the same hint.
        units: What an iteration is in epochs and samples. None: numbers have no units.
        home: Returns a sentence on where an option of another name belongs, "" where that is unknown.

    Returns:
        The model, or None with every fault found.
    """
    try:
        # JSON mode accepts a list for a tuple and text for a path, but no text for a number.
        value = model.model_validate_json(json.dumps(node.plain()), context=units)
        return resolve_paths(value, node), []
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
        """The faults, one for each mistake in the file."""
        groups = _by_location(self._node, errors)
        misplaced = [location for location, group in groups.items() if self._is_misplaced(location, group)]
        faults = [self._misplaced_option(location, misplaced) for location in misplaced]
        for location, group in groups.items():
            if not any(location[: len(above)] == above for above in misplaced):
                faults += self._missing_options(location, group, groups)
                faults += self._invalid_names(location, group)
                faults += self._unknown_options(location, group)
                faults += self._wrong_values(location, group, groups)
        return faults

    def _is_misplaced(self, location: Location, group: Sequence[ErrorDetails]) -> bool:
        """Whether a faulty entry has the name of an option of such entries: it is that option, one level too high."""
        lacks_options = any(error["type"] == "model_type" or _is_missing_option(error) for error in group)
        return lacks_options and bool(location) and location[-1] in option_names_at(self._model, location)

    def _misplaced_option(self, location: Location, misplaced: Sequence[Location]) -> Fault:
        found, above = self._node.at(location), self._node.at(location[:-1])
        entries = above.value if isinstance(above.value, dict) else {}
        entry = next((name for name in entries if (*location[:-1], name) not in misplaced), "<name>")
        owner = self._where(location[:-1])
        example = f"{owner}.{entry}.{location[-1]}"
        return Fault.misplaced_option(found.start, self._where(location), owner=owner, example=example)

    def _missing_options(self, location: Location, group: Sequence[ErrorDetails], groups: Groups) -> Iterator[Fault]:
        # An option that is there under a misspelt name is one mistake, reported as an unknown option.
        siblings = (other for other in groups if other[:-1] == location)
        misspelt = [str(other[-1]) for other in siblings if other and _is_unknown(groups[other])]
        for name in (str(error["loc"][-1]) for error in group if _is_missing_option(error)):
            if not any(nearest(other, [name], OPTIONS) for other in misspelt):
                yield Fault.missing_option(self._node.at(location).start, self._where(location), name)

    def _invalid_names(self, location: Location, group: Sequence[ErrorDetails]) -> Iterator[Fault]:
        found = self._node.at(location)
        for error in group:
            if error["type"] != INVALID_NAME:
                continue
            is_key = error["loc"][-1] == "[key]"  # Pydantic's mark for a wrong key of a mapping.
            place, name = (found.start, location[-1]) if is_key else (found.place, found.masked())
            path, message = self._where(location[:-1] if is_key else location), f"{name!r} {error['msg']}"
            yield Fault(place, path, message, kind=FaultKind.INVALID_NAME, found=str(name))

    def _unknown_options(self, location: Location, group: Sequence[ErrorDetails]) -> Iterator[Fault]:
        if not _is_unknown(group):
            return
        parent, name = location[:-1], str(location[-1])
        known = option_names_at(self._model, parent) if parent else self._takes
        owner = self._where(parent) if parent else self._owner
        home = self._home(name) if self._home is not None else ""
        place, path = self._node.at(location).start, self._where(location)
        yield Fault.unknown_option(place, path, name, known, owner=owner, synonyms=OPTIONS, home=home)

    def _wrong_values(self, location: Location, group: Sequence[ErrorDetails], groups: Groups) -> Iterator[Fault]:
        # If one branch of a union fails deeper in the file, that fault is reported, and other branches are ignored.
        is_deeper = any(len(other) > len(location) and other[: len(location)] == location for other in groups)
        if is_deeper or any(_is_missing_option(error) or error["type"] in NOT_OF_VALUES for error in group):
            return
        found, path = self._node.at(location), self._where(location)
        text, words = "", []
        if isinstance(found.value, str):
            text = found.value
            if any(error["type"] == "literal_error" for error in group):
                words = literals_at(self._model, location)
        fix = suggested_fix(self._model, self._node, location, group, words)
        expected = _expectations(group)
        yield Fault.wrong_value(found.place, path, expected, describe(found), name=text, known=words, fix=fix)

    def _where(self, location: Location) -> str:
        return ".".join([self._path, *map(str, location)] if self._path else map(str, location))


def _by_location(node: Node, errors: Sequence[ErrorDetails]) -> Groups:
    """The errors at each location of the file: the branches of a union fail one by one, at the same location."""
    groups: dict[Location, list[ErrorDetails]] = {}
    for error in errors:
        groups.setdefault(node.existing(error["loc"]), []).append(error)
    return groups


def _is_missing_option(error: ErrorDetails) -> bool:
    """Whether an option of a mapping is missing, not an item of a list."""
    return error["type"] == "missing" and isinstance(error["loc"][-1], str)


def _is_unknown(errors: Sequence[ErrorDetails]) -> bool:
    return any(error["type"] == "extra_forbidden" for error in errors)


def _expectations(errors: Sequence[ErrorDetails]) -> list[str]:
    """What the branches of a union expect, in words."""
    missing_items = [int(error["loc"][-1]) for error in errors if error["type"] == "missing"]
    if missing_items:
        return [f"at least {counted(1 + max(missing_items), 'item')}"]
    limits = [error for error in errors if error["type"] in LIMITS]  # Of a value of a type that is allowed.
    return list(dict.fromkeys(_expectation(error) for error in limits or errors))


def _expectation(error: ErrorDetails) -> str:
    template = EXPECTS.get(error["type"])
    if template is None:
        return error["msg"]
    context = error.get("ctx", {})
    bounds = {name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()}
    items = {f"{end}_items": counted(context.get(f"{end}_length", 0), "item") for end in ("min", "max")}
    return template.format(**bounds, **items)


def describe(node: Node) -> str:
    """A value of the file in a few words: `text 'abc'`, `a list of 3`, `null`."""
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
