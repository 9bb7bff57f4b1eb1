"""`artschool explain`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from artschool.cli.columns import print_columns
from artschool.components.builtins import load_builtins
from artschool.config.plugins import load_listed
from artschool.errors import ConfigError
from artschool.explain.explain import explain
from artschool.explain.positions import path_at
from artschool.faults import Fault, Place
from artschool.paths import exists
from artschool.read.read import read_in_layers

LINE = re.compile(r"(.+?):(\d+)(?::(\d+))?")


def explain_command(config: str, rest: Sequence[str]) -> None:
    """Print the explanation of a line, a path or a key."""
    console = Console(highlight=False)
    file, line, column = _split(config)
    path, overrides = _path(rest)
    if line is not None and path is not None:
        message = f"expected a line or a path, got both: line {line} and {path!r}"
        raise ConfigError(Fault(Place(str(file)), "", message, "Fix: write an override as key=value."))
    load_builtins()
    composed = read_in_layers(file, overrides)
    load_listed(composed.tree)  # `check` reports what is wrong with them.
    if line is not None:
        steps = path_at(composed.layers[-1], file, line, column, is_old=bool(composed.old))
    else:
        steps = tuple(path.split(".")) if path else ()
    explanation = explain(composed, steps)
    print_columns(console, [(explanation.title, "")])
    print_columns(console, [(f"  {label}", text) for label, text in explanation.rows])
    if explanation.options:
        console.print()
        print_columns(console, [(f"  {name}", value, where) for name, value, where in explanation.options])


def _split(config: str) -> tuple[Path, int | None, int | None]:
    """Split a file from the line and column after it. The name of a file may contain colons."""
    match = LINE.fullmatch(config)
    if match is None or exists(Path(config)):
        return Path(config), None, None
    return Path(match[1]), int(match[2]), int(match[3]) if match[3] else None


def _path(rest: Sequence[str]) -> tuple[str | None, list[str]]:
    """Split the arguments after the file into the path and the overrides."""
    paths = [text for text in rest if "=" not in text]
    if len(paths) > 1:
        raise ConfigError(f"expected one path or key, got {len(paths)}: {', '.join(paths)}")
    return (paths[0] if paths else None), [text for text in rest if "=" in text]
