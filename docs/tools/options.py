"""The reference page of the sections of a file, from the models that check them."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from artschool.config.docstrings import attributes
from artschool.config.sections import FileSections
from artschool.config.type_names import annotation_of, limits, type_name
from artschool.config.write import flow
from docs.tools.markdown import prose, table

HEAD = ("option", "default", "takes", "meaning")
INTRODUCTION = """# Options of the sections

Every option of every section, from the code. [The language](../language.md) explains them in context; options of
components, and those that every entry of a kind takes, are in [Components](components.md).
"""


def page() -> str:
    """The text of the page."""
    return "\n".join([INTRODUCTION, *(_section(title, model) for title, model in _sections("", FileSections))])


def _sections(path: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path or "The file", model
    for field, info in model.model_fields.items():
        name = f"{path}.{info.alias or field}".removeprefix(".")
        for below, is_named in _models(info.annotation):
            yield from _sections(f"{name}.<name>" if is_named else name, below)


def _models(annotation: Any, *, is_named: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    """The sections in a type, and whether the file names them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, is_named
    inside_mapping = is_named or typing.get_origin(annotation) is dict
    for part in typing.get_args(annotation):
        yield from _models(part, is_named=inside_mapping)


def _section(title: str, model: type[BaseModel]) -> str:
    texts, rows = attributes(model), []
    for field, info in model.model_fields.items():
        default = "required" if info.is_required() else f"`{_default(info)}`"
        kind = annotation_of(info)
        takes = ", ".join(part for part in (type_name(kind), limits(kind)) if part)
        name = info.alias or field
        rows.append((f"`{name}`", default, prose(takes), prose(texts.get(name, texts.get(field, "")))))
    heading = f"`{title}`" if title != "The file" else title
    return f"## {heading}\n\n{table(HEAD, rows)}"


def _default(info: Any) -> str:
    value = info.get_default(call_default_factory=True)
    return flow(value.model_dump(by_alias=True) if isinstance(value, BaseModel) else value)
