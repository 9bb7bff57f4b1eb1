"""What null removes, since it cannot be null: sections, and the entries of mappings with free names, such as steps."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from functools import cache
from typing import Any

from artschool.config.model_types import types_at
from artschool.config.section import Section
from artschool.config.sections import FileSections


def is_named_entry(path: Sequence[str]) -> bool:
    """Whether a path leads to an entry of such a mapping. Options of components are not known before plugins are."""
    return any(_has_entries(part) for part in types_at(FileSections, path[:-1]))


def is_section(path: Sequence[str]) -> bool:
    """Whether a path leads to a section such as `log` or `steps.gen.injectors` that cannot be null."""
    types = list(types_at(FileSections, path))
    return type(None) not in types and any(_has_entries(part) or _is_section(part) for part in types)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


@cache
def _has_entries(annotation: Any) -> bool:
    if typing.get_origin(annotation) is not dict:
        return False
    return not {Any, type(None)} & set(types_at(typing.get_args(annotation)[1], ()))
