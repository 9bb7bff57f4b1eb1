"""From a file to a run that is ready to train: check, build, folder, checkpoint, loggers. What `artschool.load` is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from artschool import ranks
from artschool.build import build, build_loggers
from artschool.config.check import check
from artschool.engine import checkpoint
from artschool.engine.durable import write_file
from artschool.engine.run import Run
from artschool.engine.store import load_path
from artschool.errors import CheckpointError, ConfigError
from artschool.loggers.console import ConsoleLogger
from artschool.loggers.guarded import Guarded
from artschool.loggers.jsonl import JsonlLogger
from artschool.loggers.pictures import PictureLogger
from artschool.loggers.tensorboard import TensorBoardLogger


def load(
    config: str | Path,
    overrides: Sequence[str] = (),
    *,
    run_dir: str | Path | None = None,
    resume: str = "auto",
    console: Console | None = None,
) -> Run:
    """Check a file, build its run, and put it where its newest checkpoint ends.

    Args:
        config: The YAML file.
        overrides: `path.to.key=value`, as on the command line.
        run_dir: Where to write; `runs/<name>` without it.
        resume: `auto` goes on from the newest valid checkpoint of the run's folder, `never` wants a folder without any,
            and a path names a checkpoint to start from.
        console: Where to say what happens; nothing is said without it.

    Returns:
        The run; `run.train()` trains it, `run.networks["gen"]` is a network.

    Raises:
        ConfigError: Every fault of the file. Nothing was started.
        CheckpointError: The checkpoint is damaged or does not fit.
    """
    console = console or Console(quiet=True)
    path = Path(config)
    checked = check(path, overrides, announce=lambda line: _say(console, line))
    for warning in checked.warnings:
        _say(console, f"warning: {warning}")
    folder = Path(run_dir) if run_dir is not None else checked.sections.runs / checked.sections.name
    run = build(checked, folder, note=lambda line: _say(console, line))
    _resume(run, resume, lambda line: _say(console, line))
    if ranks.is_main():
        _write_configs(run, path)
        shown = ConsoleLogger(console)
        silent = [JsonlLogger(), PictureLogger(), TensorBoardLogger()]
        run.loggers = [shown, *(Guarded(logger, shown.note) for logger in [*silent, *build_loggers(checked)])]
    ranks.wait()
    return run


def _say(console: Console, line: str) -> None:
    if ranks.is_main():
        console.print(line, soft_wrap=True, highlight=False, markup=False)
