"""`artschool diff`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from artschool.cli.columns import print_columns
from artschool.config.plugins import forget_files
from artschool.diff.difference import NOTATION, Change, difference
from artschool.diff.normalized import NormalizedConfig, normalize
from artschool.read.read import check_file


def diff_command(one: Path, other: Path, overrides: Sequence[str]) -> bool:
    """Print the differences between two files, grouped by their effect.

    Args:
        overrides: Overrides of the second file.

    Returns:
        Whether any difference has a consequence.
    """
    console = Console(highlight=False)
    found = difference(_normalized(one, ()), _normalized(other, overrides))
    groups = found.groups | ({NOTATION: found.notation} if found.notation else {})
    for name, changes in groups.items():
        print_columns(console, [(name, "")])
        print_columns(console, [(f"  {_path(change)}", change.text) for change in changes])
    verdict = "differ" if found.groups else "are equivalent"
    changed = f" with {' '.join(overrides)}" if overrides else ""
    console.print(f"{one} and {other}{changed} {verdict}.", soft_wrap=True, markup=False)
    return bool(found.groups)


def _normalized(path: Path, overrides: Sequence[str]) -> NormalizedConfig:
    forget_files()  # Each file imports its own plugins.
    return normalize(check_file(path, overrides))


def _path(change: Change) -> str:
    return ".".join(change.path) or "sections"
