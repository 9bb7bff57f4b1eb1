"""`artschool export`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import click

from artschool.cli.options import TrainedRun
from artschool.engine.adapters import export_adapters, has_adapters
from artschool.export.folder import export_network
from artschool.export.subject import subject_of
from artschool.paths import is_dir
from artschool.read.read import check_file
from artschool.storage.new_folder import refuse_existing


def export_command(trained: TrainedRun, network: str | None, to: str | None, output: Path, *, merged: bool) -> None:
    """Write a network of a run as a folder that stands alone, or its adapters."""

    def report(message: str) -> None:
        click.echo(message, err=True)

    with redirect_stdout(sys.stderr):  # Networks may print; standard output is for the results.
        run = trained.run
        folder = run if is_dir(run) or run.name == "resolved.yml" else _run_of(run)
        subject = subject_of(replace(trained, run=folder).open(report), network)
        report(subject.summary)
        if to is None and not merged and has_adapters(subject.network):
            refuse_existing(output / "adapter_model.safetensors")
            files = export_adapters(subject.network, output)
        else:
            files = export_network(subject, to or "safetensors", output, report=report)
    for file in files:
        click.echo(file)


def _run_of(config: Path) -> Path:
    """The run folder of a config file."""
    sections = check_file(config).sections
    return sections.runs / sections.name
