"""The mappings of a file whose entries have free names, such as steps and losses, and cannot be null."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from functools import cache
from typing import Any

from artschool.config.model_types import types_at
from artschool.config.sections import FileSections


def is_named_entry(path: Sequence[str]) -> bool:
    """Whether a path leads to an entry of such a mapping. Options of components are not known before plugins are."""
    return any(_has_entries(part) for part in types_at(FileSections, path[:-1]))


@cache
def _has_entries(annotation: Any) -> bool:
    if typing.get_origin(annotation) is not dict:
        return False
    return not {Any, type(None)} & set(types_at(typing.get_args(annotation)[1], ()))
