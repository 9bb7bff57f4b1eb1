"""The names that a file may define. They become folders, files and parts of paths."""

from __future__ import annotations

import re
from typing import Annotated, LiteralString

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

INVALID_NAME = "invalid_name"
"""The type of pydantic's error about a name that is not valid."""


def _matches(pattern: str, allowed: LiteralString) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise PydanticCustomError(INVALID_NAME, "is not a valid name (expected " + allowed + ")")
        return value

    return AfterValidator(check)


RunName = Annotated[
    str,
    _matches(
        r"[A-Za-z0-9_][A-Za-z0-9_.-]{,99}",
        "up to 100 letters, digits, '_', '-' and '.', not starting with '-' or '.'",
    ),
]
"""A name that becomes a folder: letters, digits, `_`, `-` and `.`."""
Name = Annotated[
    str,
    _matches(r"[A-Za-z0-9_][A-Za-z0-9_-]{,99}", "up to 100 letters, digits, '_' and '-', not starting with '-'"),
]
"""A name that becomes part of paths, of the names of logged numbers and of file names: letters, digits, `_` and `-`."""
