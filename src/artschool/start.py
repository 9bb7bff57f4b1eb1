"""Turns a config file into a run that is ready to train: check, build, resume, loggers. Defines `artschool.load`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from rich.console import Console

from artschool import ranks
from artschool.build.compiling import compile_networks
from artschool.build.run import build, build_loggers
from artschool.build.same import require_same_state
from artschool.config.origin import RUN_FILE, Origin, origin_of, read_origin, start_of, written_text
from artschool.config.paths import expand_home
from artschool.config.secrets import override_without_secret
from artschool.config.streams import TRAIN
from artschool.config.structure import Config
from artschool.config.working_folder import WorkingFolder
from artschool.config.write import dump
from artschool.engine.checkpoint_state import length_of_data
from artschool.engine.restore_run import restore_networks
from artschool.engine.resume_point import Report
from artschool.engine.resume_run import resume_from
from artschool.engine.run import Run
from artschool.engine.run_folder import check_writable, hold_folder, lock_early
from artschool.engine.together import by_main, load_chosen
from artschool.errors import CheckpointError, ConfigError
from artschool.graph.model import dataflow
from artschool.graph.svg import svg
from artschool.lint import Subject, lint
from artschool.logs.console import ConsoleLogger
from artschool.logs.fail_safe import FailSafeLogger
from artschool.logs.jsonl import JsonlLogger
from artschool.logs.notebook import NotebookLogger, in_notebook
from artschool.logs.pictures import PictureLogger
from artschool.logs.tensorboard import TensorBoardLogger
from artschool.plan.svg import draw
from artschool.plan.timeline import timeline
from artschool.read.read import check_file
from artschool.storage import checkpoint_files
from artschool.storage.checkpoint_folders import retry_while_changing
from artschool.storage.checkpoint_store import CheckpointStore
from artschool.trace.child_process import run_in_child_process
from artschool.trace.saved import faults_at_start
from artschool.trace.trace import trace
from artschool.wording.hidden import printable, without_hidden

PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def load(
    config: str | Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    run_dir: str | Path | None = None,
    resume: str = "auto",
    branch: str | None = None,
    allow: Collection[str] = (),
    traced: bool = False,
    console: Console | None = None,
) -> Run:
    """Check a config file, build its run, and resume it from its newest checkpoint.

    Args:
        config: The YAML file, or `config.yml` or `resolved.yml` of a run folder, or what a file contains as a mapping,
            in which paths are relative to the working folder.
        overrides: `path.to.key=value`, as on the command line.
        run_dir: The run folder. None: `runs/<name>`, or the folder of a file in a run folder.
        resume: `auto` resumes from the newest intact checkpoint of the run folder, if there is one. `never` requires a
            run folder without checkpoints. A number resumes from the checkpoint after so many iterations, a path from
            that checkpoint.
        branch: The name of a folder next to the run folder, in which the run continues. None: in the run folder.
        allow: Paths of settings that may differ from those of the checkpoint although they belong to another
            experiment, such as `seed` or `data.train`.
        traced: Whether to check shapes and gradients first, by running each step on tensors without values.
        console: The console for messages. None: print nothing, but show the progress of training in a notebook.

    Returns:
        The run. `run.train()` trains it; `run.networks["gen"]` is a network.

    Raises:
        ConfigError: The file has faults; the error lists all of them. Nothing was started.
        CheckpointError: The checkpoint is damaged, does not fit or belongs to another experiment, or the run folder
            contains files that no run has written.
        ResourceError: Another process trains in the run folder.
    """
    progress = NotebookLogger() if console is None and in_notebook() else None
    console = console or Console(quiet=True)
    report = partial(_print, console)
    checked, run, source = _build_run(config, overrides, run_dir, report, branch=branch, traced=traced, locked=True)
    # If the console itself fails, there is no place to print a warning.
    console_logger = FailSafeLogger(progress or ConsoleLogger(console), lambda message: None)
    if ranks.is_main():
        file_loggers = [JsonlLogger(), PictureLogger(), TensorBoardLogger(), *build_loggers(checked)]
        run.loggers = [console_logger, *(FailSafeLogger(logger, console_logger.note) for logger in file_loggers)]
        run.config_texts = {**run.config_texts, **_drawings(checked, run)}
    hold_folder(run)
    resume_from(run, resume, report, allow, source=source)
    require_same_state(run)
    return run


def load_trained(
    config: str | Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    run_dir: str | Path | None = None,
    checkpoint: str | Path | None = None,
    console: Console | None = None,
) -> Run:
    """Build the run of a config file with the networks of a checkpoint, for use without training. Writes no files.

    The number of processes may differ from that of training. Only networks, moving averages and components with state
    must fit. A data set that cannot be built, since its files are elsewhere, is an error only when it is used.
    `artschool.open` builds no data at all, and only the networks that are used.

    Args:
        config: The YAML file, or `config.yml` or `resolved.yml` of a run folder, or what a file contains as a mapping.
        overrides: `path.to.key=value`, as on the command line.
        run_dir: The run folder. None: `runs/<name>`, or the folder of a file in a run folder.
        checkpoint: The folder of a checkpoint. None: the newest intact checkpoint of the run.
        console: The console for messages. None: print nothing.

    Raises:
        ConfigError: The file has faults; the error lists all of them.
        CheckpointError: There is no intact checkpoint, or a network does not fit.
    """
    report = partial(_print, console or Console(quiet=True))
    _, run, _ = _build_run(config, overrides, run_dir, report, trains=False)

    def choose() -> Path:
        if checkpoint is not None:
            checkpoint_files.verify(Path(checkpoint))
            return Path(checkpoint)
        number = run.store.newest_valid(report)
        if number is None:
            raise CheckpointError(
                f"{run.folder}: no intact checkpoint. Fix: train first, or choose a checkpoint with --checkpoint"
            )
        return run.store.path(number)

    listing = run.store.folders.listing
    loaded = retry_while_changing(lambda: by_main(listing), lambda: load_chosen(by_main(choose)))
    restore_networks(run, loaded)
    return run


def _build_run(
    config: str | Path | Mapping[str, Any],
    overrides: Sequence[str],
    run_dir: str | Path | None,
    report: Report,
    *,
    branch: str | None = None,
    traced: bool = False,
    locked: bool = False,
    trains: bool = True,
) -> tuple[Config, Run, Path]:
    """The checked file, its run, and the run folder from which the run branches off, or its own."""
    path, text = _source(config)
    report = _without_repeats(report)
    length = None if trains else _known_length(path, run_dir)
    working_folder = WorkingFolder()
    checked = check_file(path, overrides, announce=report, length=length, text=text)
    working_folder.keep(report)  # The check may build data sets.
    for warning in checked.warnings:
        report(f"warning: {warning}")
    source = _run_folder(path, checked, run_dir)
    folder = source if branch is None else _branch(source, branch)
    lock = lock_early(folder, report) if locked else None
    if traced and not _is_finished(checked, folder):
        if ranks.is_main():
            check_writable(folder)
        _trace(checked, folder, report)
    written = written_text(path) if text is None else text
    run = build(checked, folder, source=written, note=report, trains=trains)
    if trains and (faults := faults_at_start(checked, run)):  # The run may not have been traced.
        raise ConfigError(faults)
    run.working_folder = working_folder
    working_folder.keep(report)
    # First, since it shows that the other files in the folder are those of a run.
    shown = tuple(map(override_without_secret, overrides))
    run.config_texts = {RUN_FILE: _origin(path, shown, folder, report).text(folder), **run.config_texts}
    run.lock = lock
    run.config_file, run.overrides = path.absolute() if text is None else None, shown
    run.remember_built()
    compile_networks(checked, run, report)
    for finding in lint(Subject(checked, run.networks, ranks.world_size())):
        report(f"warning: {finding}")
    return checked, run, source


def _branch(source: Path, name: str) -> Path:
    """The folder of a branch of a run."""
    if not PLAIN_NAME.fullmatch(name) or name == source.absolute().name:
        raise ConfigError(f"--branch {name!r}: expected a new name of letters, digits, '_', '-' and '.'")
    return source.parent / name


def _source(config: str | Path | Mapping[str, Any]) -> tuple[Path, str | None]:
    """The path of a file, and its text if it is given as a mapping."""
    if not isinstance(config, Mapping):
        return Path(config), None
    return Path("mapping"), dump(_plain(config))


def _plain(value: Any) -> Any:
    """A value as YAML has it: paths are text."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, PurePath) else value


def _known_length(config: Path, run_dir: str | Path | None) -> int | None:
    """The number of samples of the training data of a run folder, so that it need not be built to count epochs."""
    if run_dir is None and origin_of(config) is None:
        return None
    store = CheckpointStore(expand_home(Path(run_dir or config.parent)) / "checkpoints")
    return length_of_data(store.path(store.numbers()[-1])) if store.numbers() else None


def _drawings(config: Config, run: Run) -> dict[str, str]:
    """The dataflow and the timeline of a run. They need the plugins and the data, so the run folder keeps them."""
    batches = {name: (stream.batches, "") for name, stream in run.streams.by_name.items()}
    plan = timeline(config, *batches.pop(TRAIN), others=batches)
    return {"graph.svg": without_hidden(svg(dataflow(config))), "plan.svg": without_hidden(draw(plan))}


def _run_folder(config: Path, checked: Config, run_dir: str | Path | None) -> Path:
    if run_dir is not None:
        return expand_home(Path(run_dir))
    return checked.sections.runs / checked.sections.name if origin_of(config) is None else config.parent


def _origin(config: Path, overrides: Sequence[str], folder: Path, report: Report) -> Origin:
    """How the run starts now. Reports that relative paths have another meaning than when it last started."""
    now, before = start_of(config, tuple(overrides)), read_origin(folder)
    if before is not None and before.folder != now.folder:
        report(f"warning: relative paths are below {now.folder}; when {folder} was last trained, below {before.folder}")
    return now


def _without_repeats(report: Report) -> Report:
    """Report each line once: the trace and the run build the same data sets, which make the same remarks."""
    reported: set[str] = set()

    def once(line: str) -> None:
        if line not in reported:
            reported.add(line)
            report(line)

    return once


def _is_finished(config: Config, folder: Path) -> bool:
    """Whether a run has a checkpoint of its last iteration."""
    iterations, numbers = config.length, CheckpointStore(folder / "checkpoints").numbers()
    return iterations is not None and bool(numbers) and numbers[-1] >= iterations


def _trace(config: Config, folder: Path, report: Report) -> None:
    def lines() -> list[str]:
        result = trace(config)
        warning = result.warning_of_disk(folder)
        notes = [f"note: {note}" for note in result.notes]
        warnings = [f"warning: {each}" for each in (*result.warnings, *([warning] if warning else []))]
        return [*notes, *warnings, f"traced: {result.summary}"]

    for line in run_in_child_process(lines):
        report(line)


def _print(console: Console, line: str) -> None:
    if ranks.is_main():
        console.print(printable(line), soft_wrap=True, highlight=False, markup=False)
