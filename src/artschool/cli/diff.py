"""`artschool diff`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from artschool.cli.columns import print_columns
from artschool.config.difference import WRITING, Change, difference
from artschool.config.meaning import meaning_of
from artschool.legacy.read import check_any


def diff_command(one: Path, other: Path) -> bool:
    """Print what two files do differently, by consequence. Returns whether they do."""
    console = Console(highlight=False)
    told = difference(meaning_of(check_any(one)), meaning_of(check_any(other)))
    groups = told.groups | ({WRITING: told.writing} if told.writing else {})
    for name, changes in groups.items():
        print_columns(console, [(name, "")])
        print_columns(console, [(f"  {_path(change)}", change.text) for change in changes])
    verdict = "differ" if told.groups else "mean the same"
    console.print(f"{one} and {other} {verdict}.", soft_wrap=True, markup=False)
    return bool(told.groups)


def _path(change: Change) -> str:
    return ".".join(change.path) or "the sections"
