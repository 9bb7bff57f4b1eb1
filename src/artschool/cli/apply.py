"""`artschool apply`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from functools import partial

import click
from rich.console import Console

from artschool.apply.applied import Applied
from artschool.apply.files import apply_to_files, endings_for, result_endings
from artschool.apply.jobs import Job, find_jobs
from artschool.apply.opened import applied_from
from artschool.apply.tiles import Tiling
from artschool.cli.options import AppliedFiles, TrainedRun
from artschool.cli.progress import shown_progress
from artschool.errors import DataError
from artschool.model.model import Model
from artschool.model.results import sample_rate_of
from artschool.paths import exists, is_dir
from artschool.wording.counting import counted


def apply_command(trained: TrainedRun, files: AppliedFiles, key: str | None, given: str | None, tiling: Tiling) -> None:
    """Apply a run to files, and print how many results were written.

    Args:
        key: The key to compute. None: what the networks of the run compute.
        given: The key that the files give. None: the only one needed.
    """
    console = Console(stderr=True, highlight=False)
    say = partial(console.print, markup=False, soft_wrap=True)
    with redirect_stdout(sys.stderr):  # Networks may print; standard output is for the result.
        model = trained.open(say)
        key = model.default_outputs[0] if key is None else key
        applied = applied_from(model, key, given, tiling)
        cut = model.cut([key], [] if given is None else [given])
        rate = sample_rate_of(model.config, cut.flow) if applied.dims == 1 else None
        hint = _of_vectors(model, key, given) if applied.dims == 1 and rate is None else ""
        jobs = _jobs(applied, files, hint)
        missing = jobs if files.overwrite else [job for job in jobs if not exists(job.target)]
        say(f"{cut.summary}, after {counted(model.iteration, 'iteration')}: {_counted(jobs, missing)}")
        with shown_progress(console, len(missing), "files") as step:
            summary = apply_to_files(applied, missing, batch=tiling.batch, rate=rate, step=step)
    click.echo(f"wrote {counted(summary.written, 'file')} to {files.output}")
    if summary.failed:
        raise DataError("\n".join([*summary.failed, f"{counted(len(summary.failed), 'file')} failed"]))


def _jobs(applied: Applied, files: AppliedFiles, hint: str) -> list[Job]:
    ending = files.output.suffix.lower()
    is_file = ending in result_endings(applied) and not is_dir(files.output)
    endings = endings_for(applied, ending if is_file and files.suffix is None else files.suffix)
    return find_jobs(files.inputs, files.output, endings, is_file=is_file, hint=hint)


def _of_vectors(model: Model, key: str, given: str | None) -> str:
    """What to do with samples that have the shape of sound, where nothing says that they are."""
    name = model.inputs(key)[0] if given is None else given
    shape = tuple(model.examples[name].shape)
    return (
        f"\n    Samples of {name!r} have shape {shape}, which `artschool apply` reads as sound. "
        f"Fix: for other numbers, call `artschool.open(RUN).apply({{{name!r}: batch}}, {key!r})` in Python"
    )


def _counted(jobs: list[Job], missing: list[Job]) -> str:
    line, skipped = counted(len(jobs), "file"), len(jobs) - len(missing)
    return f"{line}; {skipped} skipped, whose results exist (--overwrite replaces them)" if skipped else line
