"""Chooses the checkpoint that a run resumes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from artschool.config.origin import RUN_FILE
from artschool.engine.old_checkpoints import STATE_SUFFIX
from artschool.engine.run_state import RunState
from artschool.errors import CheckpointError
from artschool.paths import exists
from artschool.storage import checkpoint_files
from artschool.storage.checkpoint_store import CheckpointStore

Report = Callable[[str], None]


def resume_point(run: RunState, resume: str, source: Path, report: Report) -> Path | None:
    """The checkpoint to resume from, verified. None: the run starts from the beginning.

    Args:
        resume: As in `artschool.load`.
        source: The run folder that `auto` and a number of iterations refer to. If it is not the folder of the run, the
            run branches off. A branch that has checkpoints of its own resumes from the newest.

    Raises:
        CheckpointError: The checkpoint is missing or damaged, or the run would overwrite newer ones.
    """
    run.store.clean()
    numbers = run.store.all_numbers()
    if numbers and source != run.folder:
        resume, source = "auto", run.folder
    is_old = Path(resume).suffix == STATE_SUFFIX
    if numbers and (is_old or resume == "never"):
        raise CheckpointError(
            f"{run.folder}: already has checkpoints, up to iteration {numbers[-1]}. "
            "Fix: choose another folder with --run-dir"
        )
    if resume == "never":
        return None
    if is_old:
        return Path(resume)
    if resume == "auto":
        return _newest(run, source, report)
    path = _numbered(source, int(resume)) if resume.isdecimal() else Path(resume)
    number = checkpoint_files.verify(path).iteration
    if numbers and numbers[-1] > number:
        raise CheckpointError(
            f"{run.folder}: has checkpoints up to iteration {numbers[-1]}, which a run that resumes from iteration "
            f"{number} would overwrite. Fix: add --branch NAME to train on in {run.folder.parent / 'NAME'}"
        )
    return path


def _newest(run: RunState, source: Path, report: Report) -> Path | None:
    store = CheckpointStore(source / "checkpoints")
    number = store.newest_valid(report)
    if number is not None:
        return store.path(number)
    if store.all_numbers():
        raise CheckpointError(
            f"{source}: no checkpoint is intact. Nothing was changed. "
            "Fix: restore one from a copy, or start a new run in another folder with --run-dir"
        )
    if renamed := store.renamed():
        raise CheckpointError(
            f"{source}: no folder in `checkpoints` has the name of a checkpoint, but {renamed[-1].name!r} contains one."
            " Nothing was changed. Fix: rename it to its number of iterations, such as 00000300, or start a new run in "
            "another folder with --run-dir"
        )
    if source != run.folder:
        raise CheckpointError(f"{source}: has no checkpoint to branch from. Fix: train it first")
    if exists(run.folder / RUN_FILE):
        report(f"{run.folder}: has no checkpoint of the run that began in it: training starts at iteration 0")
    return None


def _numbered(source: Path, number: int) -> Path:
    store = CheckpointStore(source / "checkpoints")
    if number not in (numbers := store.all_numbers()):
        known = f"Available: {', '.join(map(str, numbers))}" if numbers else "It has no checkpoints"
        raise CheckpointError(f"{source}: has no checkpoint after iteration {number}. {known}")
    return store.path(number)
