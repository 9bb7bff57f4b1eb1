"""What is saved when an error ends a run: the last finished iteration, if it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from artschool import ranks
from artschool.engine import checkpoint
from artschool.engine.run_state import RunState
from artschool.engine.saving import is_divided
from artschool.errors import NumericsError, Stopped, describe
from artschool.wording.hidden import without_environment


@contextmanager
def saved_on_failure(run: RunState) -> Iterator[None]:
    """If the block raises, save the last finished iteration, unless it is saved already, and add a note to the error.

    It is not saved if the next iteration has updated a part of the weights, or if updates were not finite. Of several
    processes, the main one saves without the others, which may not have failed, or have ended. It can if it has all
    parameters and all state of optimizers.
    """
    try:
        yield
    except Stopped:
        raise
    except Exception as error:
        # A metric that is not finite says nothing about the training.
        if not isinstance(error, NumericsError) or run.pending:
            _save_after(run, error)
        raise


def _save_after(run: RunState, error: Exception) -> None:
    if run.is_finished or run.iteration == run.sections.train.start_iteration:
        return  # A checkpoint without training would only bind the run to settings that may have to change.
    if not run.undo.is_whole(run.iteration):
        error.add_note(
            f"Iteration {run.iteration} has updated a part of the weights and cannot be saved. The newest checkpoint "
            f"{'is that after iteration ' + str(run.saved_at) if run.saved_at else 'does not exist yet'}"
        )
        return
    if ranks.world_size() == 1 or (ranks.is_main() and not is_divided(run)):
        with ranks.single_process():
            _save(run, error)
    elif ranks.is_main():
        error.add_note("The last iterations are not saved: other processes have a part of them")
    if run.saved_at and run.saved_at == run.iteration:
        error.add_note(f"A checkpoint is saved after iteration {run.iteration}. To resume, run the same command again")


def _save(run: RunState, error: Exception) -> None:
    lost = run.undo.undo(run.iteration)
    run.error = without_environment(describe(error))
    try:
        checkpoint.save_now(run)
    except Exception as failure:
        error.add_note(f"The last iterations could not be saved: {failure}")
    else:
        if lost:
            error.add_note(
                f"What is saved includes a part of the next iteration in buffers: {', '.join(lost[:MOST_NAMES])}"
                f"{f' and {len(lost) - MOST_NAMES} more' if len(lost) > MOST_NAMES else ''}"
            )
    finally:
        run.error = ""


MOST_NAMES = 4
"""Maximum number of buffers that a note names."""
