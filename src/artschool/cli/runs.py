"""`artschool runs`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from artschool.cli.columns import print_columns
from artschool.paths import exists
from artschool.show.folder import RunFolder, Status, find_runs
from artschool.show.words import best_in_words, pace, progress, size_in_words
from artschool.wording.hidden import without_hidden

DEFAULT = Path("runs")
LONGEST = 28
"""Longest name that is printed in full, in characters."""
ORDER = ("trains", "dead", "damaged", "stopped", "finished")


def runs_command(folders: Sequence[Path], *, as_json: bool) -> None:
    """Print a line for each run: what needs attention first, then the one that has last written."""
    found = found_runs(folders)
    if as_json:
        click.echo(json.dumps([_as_json(run, status) for run, status in found], indent=2))
        return
    if not found:
        click.echo(f"no runs in {', '.join(map(str, folders or [DEFAULT]))}")
        return
    rows = [("run", "state", "iteration", "speed", "size", "best metric")]
    rows += [
        (
            _shortened(run.name),
            status.state,
            progress(status),
            pace(status),
            size_in_words(status.size),
            "; ".join(filter(None, (best_in_words(status.best), without_hidden(status.detail)))) or "-",
        )
        for run, status in found
    ]
    print_columns(Console(highlight=False, markup=False), rows)


def found_runs(folders: Sequence[Path]) -> list[tuple[RunFolder, Status]]:
    """The runs in folders, or in `runs`, with their state, sorted.

    Raises:
        ConfigError: A folder does not exist.
    """
    if not folders and not exists(DEFAULT):
        return []
    runs = find_runs(list(folders) or [DEFAULT])
    for run in runs:
        run.update()
    found = [(run, run.status()) for run in runs]
    return sorted(found, key=lambda each: (ORDER.index(each[1].state), -each[1].written, each[0].name))


def _as_json(run: RunFolder, status: Status) -> dict[str, object]:
    return {
        "name": run.name,
        "folder": str(run.folder),
        "lives": status.state == "trains",
        **asdict(status),
        "seconds_left": status.seconds_left,
        "incidents": len(run.incidents),
    }


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2 - 2]}...{name[-(LONGEST // 2 - 1) :]}"
