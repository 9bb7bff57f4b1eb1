"""Resumes a run: chooses a checkpoint, restores it, and reports what continues."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from artschool.engine.changed_settings import refuse_other_experiment, what_continues
from artschool.engine.old_checkpoints import STATE_SUFFIX, restore_old
from artschool.engine.restore_run import restore
from artschool.engine.resume_point import Report, resume_point
from artschool.engine.run_state import RunState
from artschool.engine.together import by_main, load_chosen

SOUND_FIX = "Fix: resume from an earlier checkpoint with --resume, in another folder with --run-dir"


def resume_from(
    run: RunState, resume: str, report: Report, allow: Collection[str] = (), *, source: Path | None = None
) -> None:
    """Restore a run from a checkpoint. See `artschool.load` for the values of `resume` and `allow`.

    Args:
        source: The run folder from which the run branches off. None: its own.

    Raises:
        CheckpointError: The checkpoint is missing, damaged, does not fit or belongs to another experiment, or the run
            would overwrite newer ones.
    """
    chosen = by_main(lambda: resume_point(run, resume, source or run.folder, report))
    if chosen is None:
        return
    if chosen.suffix == STATE_SUFFIX:
        _report_resume(run, f"{resume}, a checkpoint of DL-Art-School", restore_old(run, chosen), report)
        return
    loaded = load_chosen(chosen)
    if loaded.manifest.non_finite:
        report(f"warning: {loaded.path}: {loaded.manifest.non_finite}. {SOUND_FIX}")
    lines = restore(run, loaded)
    refuse_other_experiment(run, loaded, allow)
    if not run.is_finished:
        _report_resume(run, str(loaded.path), [*lines, *what_continues(run, loaded)], report)


def _report_resume(run: RunState, source: str, lines: Sequence[str], report: Report) -> None:
    report(f"resuming after iteration {run.iteration} from {source}")
    for line in lines:
        report(f"  {line}")
