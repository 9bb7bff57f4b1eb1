"""Paths that a file names: relative to the file, or with `~` for a home directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from artschool.errors import Place


def beside(file: Path, name: str) -> Path:
    """The path of a file that `file` names: absolute, below a home directory, or relative to the folder of `file`."""
    return file.parent / os.path.expanduser(name)  # noqa: PTH111  # unlike Path, keeps the `~` of an unknown user


def named_at(place: Place, name: str) -> Path:
    """The path of a file that is named at a location. In an override, it is relative to the working folder."""
    return beside(Path(place.source if place.line else "override"), name)


def expand_home(value: Any) -> Any:
    """Replace `~` and `~user` at the start of every path in a validated value, also inside models and containers."""
    if isinstance(value, Path):
        return Path(os.path.expanduser(value))  # noqa: PTH111  # as above
    if isinstance(value, list | tuple):
        return type(value)(map(expand_home, value))
    if isinstance(value, dict):
        return {key: expand_home(part) for key, part in value.items()}
    if isinstance(value, BaseModel):
        changed = {name: expanded for name, part in value if (expanded := expand_home(part)) != part}
        return value.model_copy(update=changed) if changed else value
    return value
