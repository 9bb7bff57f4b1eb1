"""Rolls a run back to an earlier checkpoint after non-finite updates, then continues with new batches."""

from __future__ import annotations

from artschool.engine import checkpoint
from artschool.engine.run_state import RunState
from artschool.engine.saving import settle
from artschool.engine.together import by_main, load_chosen
from artschool.errors import CheckpointError, NumericsError


def roll_back(run: RunState, error: NumericsError) -> None:
    """Restore a run from an earlier checkpoint. Every process must call this. Rank 0 chooses the checkpoint.

    The batches that caused the error are not repeated: data and random numbers continue after them. Each rollback goes
    one checkpoint further back, because the weights of a newer one may already be close to diverging.

    Raises:
        NumericsError: `error`, if the config file does not ask for rollbacks or `train.max_rollbacks` is reached.
        ResourceError: The last checkpoint could not be written.
    """
    section = run.sections.train
    if section.non_finite != "rollback" or run.rollbacks >= section.max_rollbacks:
        raise error
    settle(run)
    number = by_main(lambda: _checkpoint_to_restore(run))
    if number is None:
        raise NumericsError(f"{error}; cannot roll back: no intact checkpoint without NaN") from error
    position, count, given = run.iteration + run.data_offset, run.rollbacks + 1, run.streams.given
    path = by_main(lambda: run.store.path(number))
    checkpoint.restore(run, load_chosen(path))
    run.streams.go_to(given)
    run.data_offset, run.rollbacks = position - number, count
    run.note(
        f"{error}. Rolling back to the checkpoint after {number} iterations and continuing with new batches "
        f"(rollback {count} of {section.max_rollbacks})"
    )


def _checkpoint_to_restore(run: RunState) -> int | None:
    """The newest intact checkpoint without NaN; for each previous rollback, one further back, if it exists."""
    intact = []
    for number in reversed([number for number in run.store.numbers() if number <= run.iteration]):
        try:
            manifest = run.store.verify(number)
        except CheckpointError:
            continue
        if not manifest.non_finite:
            intact.append(number)
        if len(intact) > run.rollbacks:
            break
    return intact[-1] if intact else None
