"""`artschool apply`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import click
from rich.console import Console

from artschool.apply.files import apply_to_files, endings_for, result_endings
from artschool.apply.jobs import find_jobs
from artschool.apply.opened import applied_from
from artschool.apply.tiles import Tiling
from artschool.cli.progress import shown_progress
from artschool.errors import DataError
from artschool.model.cut import Cut
from artschool.model.opening import open_run
from artschool.model.results import sample_rate_of
from artschool.wording.counting import counted


def apply_command(
    run: Path,
    inputs: Sequence[str],
    output: Path,
    *,
    key: str | None,
    given: str | None,
    checkpoint: str,
    device: str,
    tile: int | None,
    overlap: int,
    suffix: str | None,
    batch: int,
    overwrite: bool,
    raw: bool,
) -> None:
    """Apply a run to files, and print how many results were written."""
    console = Console(stderr=True, highlight=False)
    tiling = Tiling(tile, overlap, batch)
    with redirect_stdout(sys.stderr):  # Networks may print; standard output is for the result.
        model = open_run(
            run, checkpoint, device, average=not raw, report=lambda line: console.print(line, markup=False)
        )
        key = model.default_outputs[0] if key is None else key
        applied = applied_from(model, key, given, tiling)
        is_file = output.suffix.lower() in result_endings(applied) and not output.is_dir()
        endings = endings_for(applied, output.suffix.lower() if is_file and suffix is None else suffix)
        jobs = find_jobs(inputs, output, endings, is_file=is_file)
        missing = jobs if overwrite else [job for job in jobs if not job.target.exists()]
        cut = model.cut([key], [] if given is None else [given])
        line = _beginning(cut, model.iteration, not raw, len(jobs), len(jobs) - len(missing))
        console.print(line, markup=False, soft_wrap=True)
        rate = sample_rate_of(model.config, cut.flow) if applied.dims == 1 else None
        with shown_progress(console, len(missing), "files") as step:
            summary = apply_to_files(applied, missing, batch=batch, rate=rate, step=step)
    click.echo(f"wrote {counted(summary.written, 'file')} to {output}")
    if summary.failed:
        raise DataError("\n".join([*summary.failed, f"{counted(len(summary.failed), 'file')} failed"]))


def _beginning(cut: Cut, iteration: int, averages: bool, count: int, skipped: int) -> str:
    """What is done, by which networks."""
    replaced = cut.flow.averages if averages else {}
    called = [f"{name} (average)" if name in replaced else name for name in cut.networks]
    what = f"{', '.join(cut.keys)} of {cut.flow.path}, by {', '.join(called) or 'no network'}"
    line = f"{what}, after {counted(iteration, 'iteration')}: {counted(count, 'file')}"
    return f"{line}; {skipped} skipped, whose results exist (--overwrite replaces them)" if skipped else line
