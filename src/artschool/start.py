"""From a file to a run that is ready to train: check, build, folder, checkpoint, loggers. What `artschool.load` is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from artschool import ranks
from artschool.build.run import build, build_loggers
from artschool.config.structure import Config
from artschool.engine.checkpoint import restore, restore_networks
from artschool.engine.old_checkpoints import STATE_SUFFIX, restore_old
from artschool.engine.run import Run
from artschool.engine.run_folder import check_writable
from artschool.engine.run_state import Logger
from artschool.errors import CheckpointError
from artschool.lint import Subject, lint
from artschool.loggers.console import ConsoleLogger
from artschool.loggers.fail_safe import FailSafeLogger
from artschool.loggers.jsonl import JsonlLogger
from artschool.loggers.pictures import PictureLogger
from artschool.loggers.tensorboard import TensorBoardLogger
from artschool.read.read import check_file
from artschool.storage.checkpoint_store import CheckpointStore
from artschool.trace.child_process import run_in_child_process
from artschool.trace.trace import trace

Say = Callable[[str], None]


def load(
    config: str | Path,
    overrides: Sequence[str] = (),
    *,
    run_dir: str | Path | None = None,
    resume: str = "auto",
    traced: bool = False,
    console: Console | None = None,
) -> Run:
    """Check a file, build its run, and put it where its newest checkpoint ends.

    Args:
        config: The YAML file.
        overrides: `path.to.key=value`, as on the command line.
        run_dir: Where to write; `runs/<name>` without it.
        resume: `auto` goes on from the newest valid checkpoint of the run's folder, `never` wants a folder without any,
            and a path names a checkpoint to start from.
        traced: Whether to prove shapes and gradients first, by running each step on tensors without values.
        console: Where to say what happens; nothing is said without it.

    Returns:
        The run; `run.train()` trains it, `run.networks["gen"]` is a network.

    Raises:
        ConfigError: Every fault of the file. Nothing was started.
        CheckpointError: The checkpoint is damaged or does not fit.
    """
    console = console or Console(quiet=True)
    say = partial(_say, console)
    checked, run = _built(config, overrides, run_dir, say, traced=traced)
    # A terminal that is gone has nowhere to be told of.
    shown = FailSafeLogger(ConsoleLogger(console), lambda message: None)
    if ranks.is_main():
        written: list[Logger] = [JsonlLogger(), PictureLogger(), TensorBoardLogger(), *build_loggers(checked)]
        run.loggers = [shown, *(FailSafeLogger(logger, shown.note) for logger in written)]
    resume_from(run, resume, say)
    return run


def load_trained(
    config: str | Path,
    overrides: Sequence[str] = (),
    *,
    run_dir: str | Path | None = None,
    checkpoint: str | Path | None = None,
    console: Console | None = None,
) -> Run:
    """Build the run of a file with the networks of a checkpoint, to use them; nothing is written.

    Any number of processes may load what any number saved, and only networks and averages have to fit.

    Args:
        config: The YAML file.
        overrides: `path.to.key=value`, as on the command line.
        run_dir: The run's folder; `runs/<name>` without it.
        checkpoint: A checkpoint's folder; the newest valid one of the run without it.
        console: Where to say what happens; nothing is said without it.

    Raises:
        ConfigError: Every fault of the file.
        CheckpointError: There is no valid checkpoint, or a network does not fit.
    """
    say = partial(_say, console or Console(quiet=True))
    _, run = _built(config, overrides, run_dir, say)
    if checkpoint is None:
        number = run.store.newest_valid(say)
        if number is None:
            raise CheckpointError(f"{run.folder} has no valid checkpoint; train first, or name one by --checkpoint")
        loaded = run.store.load(number)
    else:
        loaded = CheckpointStore.load_path(Path(checkpoint))
    restore_networks(run, loaded)
    return run


def _built(
    config: str | Path,
    overrides: Sequence[str],
    run_dir: str | Path | None,
    say: Say,
    *,
    traced: bool = False,
) -> tuple[Config, Run]:
    path = Path(config)
    checked = check_file(path, overrides, announce=say)
    for warning in checked.warnings:
        say(f"warning: {warning}")
    folder = Path(run_dir) if run_dir is not None else checked.sections.runs / checked.sections.name
    if traced and not _is_finished(checked, folder):
        if ranks.is_main():
            check_writable(folder)
        _trace(checked, folder, say)
    run = build(checked, folder, source=path.read_text(encoding="utf-8"), note=say)
    for finding in lint(Subject(checked, run.networks)):
        say(f"warning: {finding}")
    return checked, run


def _is_finished(config: Config, folder: Path) -> bool:
    """Whether a run has a checkpoint of its end already."""
    iterations, numbers = config.sections.train.iterations, CheckpointStore(folder / "checkpoints").numbers()
    return iterations is not None and bool(numbers) and numbers[-1] >= iterations


def _trace(config: Config, folder: Path, say: Say) -> None:
    def lines() -> list[str]:
        found = trace(config)
        warning = found.warning_of_disk(folder)
        notes = [f"note: {note}" for note in found.notes]
        return [*notes, *([f"warning: {warning}"] if warning else []), f"traced: {found.summary}"]

    for line in run_in_child_process(lines):
        say(line)


def resume_from(run: Run, resume: str, say: Say) -> None:
    """Put a run where a checkpoint ends. See `load` for the values of `resume`.

    Raises:
        CheckpointError: There is none where one is wanted, it is damaged, or going on would overwrite newer ones.
    """
    if ranks.is_main():
        run.store.clean()
    ranks.wait()
    numbers, is_old = run.store.numbers(), Path(resume).suffix == STATE_SUFFIX
    if numbers and (is_old or resume == "never"):
        raise CheckpointError(f"{run.folder} has checkpoints up to {numbers[-1]} already; choose another --run-dir")
    if resume == "never":
        return
    if resume == "auto":
        number = run.store.newest_valid(say)
        if number is None:
            if numbers:
                raise CheckpointError(f"no checkpoint in {run.folder} is valid; choose another --run-dir to start anew")
            return
        loaded = run.store.load(number)
    elif is_old:
        restore_old(run, Path(resume))
        say(f"going on after iteration {run.iteration}, from {resume} of DL-Art-School")
        return
    else:
        loaded = CheckpointStore.load_path(Path(resume))
        if numbers and numbers[-1] > loaded.number:
            raise CheckpointError(
                f"{run.folder} has checkpoints up to {numbers[-1]}, and going on from {loaded.number} would overwrite "
                "them; choose another --run-dir"
            )
    changed = restore(run, loaded)
    say(f"going on after iteration {run.iteration}, from {loaded.path}")
    for line in changed:
        say(f"  the file has changed since: {line}")


def _say(console: Console, line: str) -> None:
    if ranks.is_main():
        console.print(line, soft_wrap=True, highlight=False, markup=False)
