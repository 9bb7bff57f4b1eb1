"""Back to an earlier checkpoint when numbers explode, and on with other batches."""

from __future__ import annotations

from artschool.engine import checkpoint
from artschool.engine.run_state import RunState
from artschool.errors import CheckpointError, NumericsError


def roll_back(run: RunState, error: NumericsError) -> None:
    """Put a run where an earlier checkpoint ends. All processes come here together, and decide alike.

    The batches that led here are not repeated: data and random numbers go on where they were. Each time goes one
    checkpoint further back, since a newer one may hold weights that were about to explode.

    Raises:
        NumericsError: `error`, where the file does not ask to go back, or it has been done too often.
    """
    section = run.sections.train
    if section.non_finite != "rollback" or run.rollbacks >= section.max_rollbacks:
        raise error
    number = _earlier(run)
    if number is None:
        raise NumericsError(f"{error}; there is no intact checkpoint to go back to") from error
    position, count = run.iteration + run.data_offset, run.rollbacks + 1
    checkpoint.restore(run, run.store.load(number))
    run.data_offset, run.rollbacks = position - number, count
    message = f"{error}. Going back to iteration {number}, and on with the batches that follow ({count} of "
    for logger in run.loggers:
        logger.note(f"{message}{section.max_rollbacks} times)")


def _earlier(run: RunState) -> int | None:
    """The newest intact checkpoint, or one older for each time that the run went back already."""
    intact = []
    for number in reversed([number for number in run.store.numbers() if number <= run.iteration]):
        try:
            run.store.verify(number)
        except CheckpointError:
            continue
        intact.append(number)
        if len(intact) > run.rollbacks:
            break
    return intact[-1] if intact else None
