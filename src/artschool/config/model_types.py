"""The types that a pydantic model allows at a location below it."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from artschool.registry.schedule import forms_of


def option_names_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The options that a mapping takes, at a location below a model; none where its keys are free."""
    return next((list(_fields(part)) for part in types_at(model, location) if _is_model(part)), [])


def literals_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The literal values that are allowed at a location below a model, as text."""
    literals = (part for part in types_at(model, location) if typing.get_origin(part) is typing.Literal)
    return [str(value) for part in literals for value in typing.get_args(part)]


def types_at(annotation: Any, location: Sequence[str | int]) -> Iterator[Any]:
    """The types that are allowed at a location below a type, one for each branch of a union."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated and (forms := forms_of(arguments[1:])):
        for form in forms:
            yield from types_at(form, location)
    elif origin is typing.Annotated:
        yield from types_at(arguments[0], location)
    elif origin in (typing.Union, types.UnionType):
        for part in arguments:
            yield from types_at(part, location)
    elif not location:
        yield annotation
    elif _is_model(annotation):
        yield from types_at(_fields(annotation).get(str(location[0])), location[1:])
    elif origin in (dict, list, tuple):
        parts = [part for part in arguments if part is not ...]
        index = min(int(location[0]), len(parts) - 1) if origin is tuple else -1
        yield from types_at(parts[index], location[1:])


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """The types of a model's fields, by the names that a file uses."""
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}
