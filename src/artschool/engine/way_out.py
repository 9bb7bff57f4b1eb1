"""What is saved when an error or a signal ends a run in one process: the last finished iteration, if it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from artschool import ranks
from artschool.engine import checkpoint
from artschool.engine.meeting import NotMetError, cause_of, meet
from artschool.engine.run_state import RunState
from artschool.engine.saving import is_divided
from artschool.engine.sharding import reshard
from artschool.errors import NumericsError, Stopped, describe
from artschool.wording.hidden import without_environment

MOST_NAMES = 4
"""Maximum number of buffers that a note names."""


class NotSavedError(Exception):
    """The last finished iteration is not saved; the message says why."""


@contextmanager
def saved_on_failure(run: RunState) -> Iterator[None]:
    """If the block raises, save the last finished iteration, unless it is saved already, and add a note to the error.

    It is not saved if updates were not finite, or if the folder of the run is not kept. See `save_last`.
    """
    try:
        yield
    except Stopped:
        raise
    except Exception as error:
        # A metric that is not finite says nothing about the training.
        if run.is_kept and not run.is_finished and (not isinstance(error, NumericsError) or run.pending):
            _save_after(run, error)
        raise


def _save_after(run: RunState, error: Exception) -> None:
    if run.iteration == run.sections.train.start_iteration:
        return  # A checkpoint without training would only bind the run to settings that may have to change.
    try:
        lost = save_last(run, error)
    except NotSavedError as reason:
        error.add_note(str(reason))
    except Exception as failure:
        error.add_note(f"The last iterations could not be saved: {failure}")
    else:
        if lost:
            error.add_note(
                f"What is saved includes a part of the next iteration in buffers: {', '.join(lost[:MOST_NAMES])}"
                f"{f' and {len(lost) - MOST_NAMES} more' if len(lost) > MOST_NAMES else ''}"
            )
    if run.saved_at and run.saved_at == run.iteration:
        error.add_note(f"A checkpoint is saved after iteration {run.iteration}. To resume, run the same command again")


def save_last(run: RunState, reason: BaseException) -> list[str]:
    """Save the last finished iteration after something that has struck this process, and maybe no other one.

    Rank 0 saves without the others, which may not have failed, or have ended. Only if parameters or the state of
    optimizers are divided, or on GPUs, which may wait for each other, all processes leave what they do and meet again.

    Args:
        reason: The error or the signal that has ended the training.

    Returns:
        The names of the buffers that contain a part of the next iteration.

    Raises:
        NotSavedError: The next iteration has updated a part of the weights, or this process cannot save.
    """
    reshard(run.stateful.values())
    if ranks.world_size() > 1 and (is_divided(run) or run.device.type == "cuda"):
        lost = _save(run, _agree(run, reason))
        if ranks.is_lost(reason):
            with suppress(RuntimeError):  # The process that has failed first ends, and has reported its error then.
                ranks.wait()
        return lost
    if not run.undo.is_whole(run.iteration):
        raise NotSavedError(_partly_updated(run, run.iteration))
    if not ranks.is_main():
        raise NotSavedError("Rank 0 saves the last finished iteration")
    with ranks.single_process():
        return _save(run, describe(reason) if isinstance(reason, Exception) else "")


def _agree(run: RunState, reason: BaseException) -> str:
    """Meet the other processes. Returns the error that has ended the training."""
    try:
        ends = meet(run, reason)
    except NotMetError as absent:
        why = "each process has a part of them" if is_divided(run) else "the GPUs wait for each other"
        raise NotSavedError(f"The last iterations are not saved: {why}, and {absent}") from None
    for rank, end in enumerate(ends):
        if not end.is_whole:
            raise NotSavedError(_partly_updated(run, end.iteration, f" on rank {rank}"))
        if end.iteration != ends[0].iteration:
            raise NotSavedError(
                f"The last iterations are not saved: rank 0 has finished {ends[0].iteration}, and rank {rank} has "
                f"finished {end.iteration}"
            )
    return cause_of(ends)


def _partly_updated(run: RunState, iteration: int, where: str = "") -> str:
    saved = f"is that after iteration {run.saved_at}" if run.saved_at else "does not exist yet"
    return (
        f"Iteration {iteration} has updated a part of the weights{where} and cannot be saved. "
        f"The newest checkpoint {saved}"
    )


def _save(run: RunState, cause: str) -> list[str]:
    lost = run.undo.undo(run.iteration)
    run.error = without_environment(cause)
    try:
        checkpoint.save_now(run)
    finally:
        run.error = ""
    return lost
