"""Python types in the words of the file language."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from artschool.registry.schedule import forms_of
from artschool.registry.signature import Marker, Pattern, Role
from artschool.registry.units import Amount

IN_WORDS = {
    "Any": "any value",
    "NoneType": "null",
    "Path": "path",
    "bool": "true or false",
    "float": "number",
    "int": "whole number",
    "str": "text",
}
NOUN = re.compile(r"^(key|list|mapping|network|number|path|schedule|text|whole number)\b")
LIMITS = (("ge", "{} or more"), ("gt", "more than {}"), ("le", "{} or less"), ("lt", "less than {}"))


def type_name(annotation: Any) -> str:
    """A type in words: `key`, `key or null`, `list of keys`, `[number, number]`, `'l1' or 'l2'`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _annotated_name(arguments[0], arguments[1:])
    if origin is not None and arguments:
        return _generic_name(origin, arguments)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        names = [info.alias or name for name, info in annotation.model_fields.items()]
        return f"mapping with {', '.join(f'`{name}`' for name in names)}"
    name = getattr(annotation, "__name__", str(annotation))
    return IN_WORDS.get(name, name)


def _annotated_name(annotation: Any, extras: Sequence[Any]) -> str:
    form = next((extra for extra in extras if isinstance(extra, Pattern)), None)
    if form is not None:
        return form.words
    if forms := forms_of(extras):
        return f"{type_name(forms[0])} or schedule"
    marker = next((extra for extra in extras if isinstance(extra, Marker)), None)
    if marker is None:
        with_unit = any(isinstance(extra, Amount) for extra in extras)
        return f"{type_name(annotation)} or text such as `2 epochs`" if with_unit else type_name(annotation)
    return f"one of the {marker.kind}" if marker.role is Role.NESTED else marker.role.value


def _generic_name(origin: Any, arguments: Sequence[Any]) -> str:
    if origin is typing.Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if origin is tuple and ... not in arguments:
        return f"[{', '.join(map(type_name, arguments))}]"
    if origin in (list, tuple, set):
        return f"list of {_plural(type_name(arguments[0]))}"
    if origin is dict:
        return f"mapping to {type_name(arguments[1])}"
    return " or ".join(dict.fromkeys(" or ".join(map(type_name, arguments)).split(" or ")))


def _plural(words: str) -> str:
    return " or ".join(NOUN.sub(r"\1s", alternative) for alternative in words.split(" or "))


def limits(annotation: Any) -> str:
    """The bounds of the numbers in a type: `1 or more`; empty where there are none."""
    found = {name: value for part in _extras(annotation) for name, _ in LIMITS for value in _limit(part, name)}
    return ", ".join(text.format(f"{found[name]:g}") for name, text in LIMITS if name in found)


def annotation_of(info: FieldInfo) -> Any:
    """The type of a field together with its bounds, which pydantic stores separately."""
    return typing.Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def amount_of(annotation: Any) -> Amount | None:
    """The mark of a number of iterations that may be text with a unit; None for any other type."""
    return next((extra for extra in _extras(annotation) if isinstance(extra, Amount)), None)


def _extras(annotation: Any) -> Iterator[Any]:
    """The metadata of an annotation, at any depth."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        for extra in arguments[1:]:
            yield from extra.metadata if isinstance(extra, FieldInfo) else [extra]
        for form in forms_of(arguments[1:])[:1]:
            yield from _extras(form)
        yield from _extras(arguments[0])
    elif typing.get_origin(annotation) is not typing.Literal:
        for part in arguments:
            yield from _extras(part)


def _limit(extra: Any, name: str) -> Iterator[float]:
    if isinstance(value := getattr(extra, name, None), int | float):
        yield value
