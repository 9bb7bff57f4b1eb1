"""Rolls a run back to an earlier state after non-finite updates, then continues with new batches.

The state is a checkpoint, or with `train.non_finite: rewind` a copy in memory, to which a run returns once.
"""

from __future__ import annotations

from artschool.engine.captured_state import snapshot
from artschool.engine.non_finite import non_finite_weights
from artschool.engine.restore_modules import OPTIMIZERS
from artschool.engine.restore_run import restore
from artschool.engine.run_state import RunState
from artschool.engine.saving import settle
from artschool.engine.together import by_main, load_chosen
from artschool.errors import CheckpointError, NumericsError
from artschool.wording.counting import counted

NOT_SAVED = -1
"""The number of the last saved state of a run that continues from memory."""


def roll_back(run: RunState, error: NumericsError) -> None:
    """Restore a run from an earlier state. Every process must call this. Rank 0 chooses the checkpoint.

    The batches that caused the error are not repeated: data and random numbers continue after them. Each rollback goes
    further back, because the weights of a newer state may already be close to diverging.

    Raises:
        NumericsError: `error`, if the config file does not ask for rollbacks or `train.max_rollbacks` is reached.
        ResourceError: The last checkpoint could not be written.
    """
    section = run.sections.train
    if section.non_finite not in ("rollback", "rewind") or run.rollbacks >= section.max_rollbacks:
        raise error
    settle(run)
    position, count, given = run.iteration + run.data_offset, run.rollbacks + 1, run.streams.given
    source = "copy in memory" if _can_rewind(run) else "checkpoint"
    if run.snapshot is not None and _can_rewind(run):
        resumed_from = run.resumed_from
        restore(run, run.snapshot)
        run.has_rewound = True
        run.resumed_from, run.saved_at = resumed_from, NOT_SAVED
    else:
        number = by_main(lambda: _checkpoint_to_restore(run))
        if number is None:
            raise NumericsError(f"{error}; cannot roll back: no intact checkpoint without NaN") from error
        path = by_main(lambda: run.store.path(number))
        restore(run, load_chosen(path))
    run.streams.go_to(given)
    run.data_offset, run.rollbacks = position - run.iteration, count
    run.cool_rates()
    run.note(
        f"{error}. Rolling back to the {source} after {counted(run.iteration, 'iteration')} and continuing with new "
        f"batches (rollback {count} of {section.max_rollbacks})"
    )


def is_snapshot_due(run: RunState) -> bool:
    """Whether a log point is one at which `take_snapshot` is called: no update has just been skipped."""
    train = run.sections.train
    if train.non_finite != "rewind" or run.skipping:
        return False
    return run.snapshot is None or run.iteration >= run.snapshot.number + train.rewind_every


def take_snapshot(run: RunState) -> None:
    """Copy the state of a run into memory, unless it contains NaN. Every process must call this."""
    if not non_finite_weights(run):
        run.snapshot, run.has_rewound = snapshot(run), False


def _can_rewind(run: RunState) -> bool:
    return run.snapshot is not None and not run.has_rewound and run.sections.train.non_finite == "rewind"


def _checkpoint_to_restore(run: RunState) -> int | None:
    """The newest intact checkpoint without NaN; for each previous rollback, one further back, if it exists."""
    intact = []
    for number in reversed([number for number in run.store.numbers() if number <= run.iteration]):
        try:
            manifest = run.store.verify(number)
        except CheckpointError:
            continue
        has_optimizers = any(name.startswith(f"{OPTIMIZERS}.") for name in manifest.files)
        if has_optimizers and not manifest.non_finite:
            intact.append(number)
        if len(intact) > run.rollbacks:
            break
    return intact[-1] if intact else None
