"""When a checkpoint is written, and who waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from artschool.engine.background import Write
from artschool.engine.exits import without_exits
from artschool.engine.run_state import RunState
from artschool.engine.sharding import sharded_networks
from artschool.engine.together import together
from artschool.errors import ResourceError


def is_sharded(run: RunState) -> bool:
    """Whether any network is divided among processes."""
    return bool(sharded_networks(run.networks.values()))


def is_divided(run: RunState) -> bool:
    """Whether any network or the state of any optimizer is divided among processes."""
    shards = [step.update.scheduled.shards for step in run.steps if step.update is not None]
    return is_sharded(run) or any(shard is not None for shard in shards)


def is_in_background(run: RunState) -> bool:
    """Whether the checkpoints of a run are written while it trains on."""
    chosen = run.sections.checkpoint.background
    return (run.device.type == "cuda" or is_sharded(run)) if chosen is None else chosen


def start_write(run: RunState, write: Write, *, needs_state: bool = False) -> None:
    """Write a checkpoint of the current iteration, or to it: now, or in the background, where `settle` waits for it.

    Every process must call this. Raises what `settle` raises.

    Args:
        needs_state: Whether all of it needs tensors that training changes, so that training waits for it.
    """
    run.saver.best = run.best
    start = run.saver.start if is_in_background(run) and not needs_state else run.saver.run
    start(run.iteration, write, partial(_explained, run))
    if not is_in_background(run):
        settle(run)


@contextmanager
def _explained(run: RunState) -> Iterator[None]:
    """See whether an error of a write comes from a run folder that is gone. Then it counts as one of the disk.

    A later save writes to a new folder. See `check_folder`.
    """
    try:
        with without_exits(f"{run.folder}: the checkpoint"):
            yield
    except Exception as error:
        if run.lock is not None:
            run.lock.touch()
            if run.lock.is_lost:
                raise ResourceError(f"{run.folder}: the run folder was moved or deleted during the save") from error
        raise


def settle(run: RunState) -> None:
    """Wait until everything that is being written is on the disk, or refused by it. Every process must call this.

    A disk that refuses is told, and the run goes on: a later save, at the latest the last one, is another try.

    Raises:
        CheckpointError: A value could not be saved, in any process.
        ResourceError: The disk has refused `checkpoint.max_failures` saves in a row.
    """
    saver, most = run.saver, run.sections.checkpoint.max_failures
    if saver.number is None:
        return
    number, error = saver.wait()
    try:
        together(lambda: _raise(error))
    except ResourceError as refusal:
        saver.refuse(refusal, run.iteration)
        if run.best == saver.best:
            run.best = saver.best_on_disk
        if run.saved_at == number:  # Its amendment is refused.
            run.saved_at = None
        if len(saver.refusals) >= most:
            raise
        run.note(
            f"warning: the checkpoint after iteration {number} is not saved, and another is tried soon "
            f"({len(saver.refusals)} of {most} failures in a row that end the run): {refusal}"
        )
    else:
        run.saved_at = number
        saver.succeed()
    while run.store.deletion.warnings:
        run.note(f"warning: {run.store.deletion.warnings.pop(0)}")


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error


@contextmanager
def written_on_failure(run: RunState) -> Iterator[None]:
    """If the block raises, wait for the checkpoint that is being written. If that fails, add a note to the error.

    A second Ctrl-C does not wait. Only this process waits: the others may not have failed.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        number, failure = run.saver.wait()
        if failure is not None:
            error.add_note(f"The checkpoint after iteration {number} could not be saved: {failure}")
        raise
