"""`artschool show`."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

import click

from artschool.cli.output import check_output
from artschool.cli.runs import DEFAULT
from artschool.engine.signals import Interrupted
from artschool.errors import ConfigError
from artschool.paths import exists, is_dir
from artschool.show.folder import find_runs
from artschool.show.page import saved_page
from artschool.show.server import Server
from artschool.storage.durable import write_file


def show_command(folders: Sequence[Path], port: int, save: Path | None) -> None:
    """Serve the page of some runs until Ctrl-C, or write it to a file."""
    chosen = list(folders) or [DEFAULT]
    if not folders and not is_dir(DEFAULT):
        raise ConfigError(f"{DEFAULT}: no such folder. Fix: name a run folder, or a folder with runs")
    if save is not None:
        _save(chosen, save)
        return
    with Server(chosen, port) as server:
        click.echo(f"{server.address} shows {_runs(len(server.runs))}. Press Ctrl-C to end.")
        try:
            server.serve_forever()
        except KeyboardInterrupt as end:
            if isinstance(end, Interrupted) and end.number != signal.SIGINT:
                raise
            click.echo()


def _save(folders: list[Path], save: Path) -> None:
    check_output("--save", save)
    if exists(save) and "<!-- artschool show -->" not in save.read_text(encoding="utf-8", errors="replace")[:200]:
        raise ConfigError(f"--save {save}: exists, and is no page of artschool show. Fix: choose another name")
    runs = find_runs(folders)
    page = saved_page(runs).encode()
    write_file(save, page)
    click.echo(f"{save}: {_runs(len(runs))}, {len(page) / 1e6:.1f} MB")


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"
