"""Paths that a file names: relative to the file, or with `~` for a home directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from artschool.config.origin import origin_of
from artschool.config.source import Node
from artschool.faults import Place


def beside(file: Path, name: str) -> Path:
    """The path of a file that `file` names: absolute, below a home directory, or relative to the folder of `file`.

    A file in a run folder names files relative to the file from which the run was started.
    """
    origin = origin_of(file)
    return (origin.file if origin is not None else file).parent / os.path.expanduser(name)  # noqa: PTH111  # unlike Path, keeps the `~` of an unknown user


def named_at(place: Place, name: str) -> Path:
    """The path of a file that is named at a location. In an override, it is relative to the working folder."""
    return beside(Path(place.source if place.line else "override"), name)


def expand_home(path: Path) -> Path:
    """Replace `~` and `~user` at the start of a path."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  # as above


def resolve_paths(value: Any, node: Node | None) -> Any:
    """Resolve every path in a validated value, also inside models and containers.

    `~` and `~user` at its start are replaced. A relative path in a file of a run folder is relative to the working
    folder in which the run was started.

    Args:
        node: The node that the value is read from. None: it is a default.
    """
    if isinstance(value, Path):
        return (_working_folder(node.place) if node is not None else Path()) / expand_home(value)
    if isinstance(value, list | tuple):
        return type(value)(resolve_paths(part, _below(node, index)) for index, part in enumerate(value))
    if isinstance(value, dict):
        return {key: resolve_paths(part, _below(node, key)) for key, part in value.items()}
    if isinstance(value, BaseModel):
        names = {name: info.alias or name for name, info in type(value).model_fields.items()}
        resolved = {name: resolve_paths(part, _below(node, names.get(name, name))) for name, part in value}
        changed = {name: part for name, part in resolved.items() if part != getattr(value, name)}
        return value.model_copy(update=changed) if changed else value
    return value


def _below(node: Node | None, step: str | int) -> Node | None:
    """The node under a key or index. A single value may be written in place of a list."""
    if node is None or not isinstance(node.value, dict | list):
        return node
    return node.child(step)


def _working_folder(place: Place) -> Path:
    origin = origin_of(Path(place.source)) if place.line else None
    return origin.folder if origin is not None else Path()
