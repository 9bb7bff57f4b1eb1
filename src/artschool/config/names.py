"""The names that a file may give: they become folders, files and paths."""

from __future__ import annotations

import re
from typing import Annotated, LiteralString

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

INVALID_NAME = "invalid_name"
"""The type of pydantic's error about a name that is not valid."""


def _plain(pattern: str, allowed: LiteralString) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise PydanticCustomError(INVALID_NAME, "is no plain name: " + allowed)
        return value

    return AfterValidator(check)


RunName = Annotated[
    str,
    _plain(
        r"[A-Za-z0-9_][A-Za-z0-9_.-]{,99}", "up to 100 letters, digits, '_', '-' and '.', and neither '-' nor '.' first"
    ),
]
"""A name that becomes a folder: letters, digits, `_`, `-` and `.`."""
Name = Annotated[
    str, _plain(r"[A-Za-z0-9_][A-Za-z0-9_-]{,99}", "up to 100 letters, digits, '_' and '-', and no '-' first")
]
"""A name that becomes part of a path, of a number in the log and of a file: letters, digits, `_` and `-`."""
