"""When a checkpoint is written, and who waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from artschool import ranks
from artschool.engine.run_state import RunState
from artschool.engine.shard_files import failing_together


def is_sharded(run: RunState) -> bool:
    """Whether any network is divided among processes."""
    return any(ranks.is_sharded(p) for network in run.networks.values() for p in network.parameters())


def is_in_background(run: RunState) -> bool:
    """Whether the checkpoints of a run are written while it trains on."""
    chosen = run.sections.checkpoint.background
    return (run.device.type == "cuda" or is_sharded(run)) if chosen is None else chosen


def start_write(run: RunState, write: Callable[[], None]) -> None:
    """Write a checkpoint of the current iteration, or to it: now, or in the background, where `settle` waits for it.

    Every process must call this. Raises what `settle` raises.
    """
    if is_in_background(run):
        run.saver.start(run.iteration, write)
    else:
        run.saver.run(run.iteration, write)
        settle(run)


def settle(run: RunState) -> None:
    """Wait until everything that is being written is on the disk. Every process must call this.

    Raises:
        CheckpointError: A value could not be saved, or another process failed.
        ResourceError: The disk is full or cannot be written.
    """
    if run.saver.number is None:
        return
    number, error = run.saver.wait()
    with failing_together():
        if error is not None:
            raise error
    run.saved_at = number


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
