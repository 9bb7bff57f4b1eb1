"""The meeting of processes that have parts of the state, after an error or a signal has made one of them leave.

It ends its connections, so that the others fail where they wait for it. All of them meet in the store of the launcher
and continue in a new process group. Work that a process does, such as a forward pass, is not interrupted.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from artschool import ranks
from artschool.engine.heartbeats import SILENT_S
from artschool.engine.run_state import RunState
from artschool.errors import describe
from artschool.waits import waiting

POLL_S = 0.05
"""Seconds between two looks at who has come."""
GPU_S = 120
"""Seconds after which a process on a GPU that responds does not come any more: it may wait for its GPU."""


class NotMetError(Exception):
    """A process does not come; the message says which."""


@dataclass(frozen=True)
class End:
    """How a process has left the training.

    Attributes:
        iteration: Number of its finished iterations.
        is_whole: Whether it has updated nothing since.
        error: The error. Empty: a signal.
        is_cause: Whether it has left by itself, and not because another one had.
    """

    iteration: int
    is_whole: bool
    error: str
    is_cause: bool


def meet(run: RunState, reason: BaseException) -> list[End]:
    """Leave what the processes communicate, and meet all of them in a new group. Every process must call this.

    Args:
        reason: The error or the signal that has ended the training of this process.

    Returns:
        How the processes have left, by rank.

    Raises:
        NotMetError: A process does not come: it has ended, has stopped, or the store has.
    """
    try:
        ranks.leave()
        run.saver.join()  # In a group of its own, which `join_again` takes away.
        with waiting(ranks.others):
            _wait_for_all(run)
        ranks.join_again()
    except RuntimeError as error:
        raise NotMetError(f"the processes cannot meet again: {error}") from error
    run.saver.group = None
    is_cause = not ranks.is_lost(reason)
    if is_cause:
        ranks.announce_end(getattr(reason, "exit_code", 1))
    description = describe(reason) if isinstance(reason, Exception) else ""
    return ranks.gather(End(run.iteration, run.undo.is_whole(run.iteration), description, is_cause))


def cause_of(ends: list[End]) -> str:
    """The first error that has ended the training. Empty: a signal has."""
    first = [end for end in ends if end.is_cause] or ends
    return next((end.error for end in first if end.error), "")


def _wait_for_all(run: RunState) -> None:
    start = time.monotonic()
    most_s = GPU_S if run.device.type == "cuda" else math.inf
    while missing := ranks.remaining():
        seconds = time.monotonic() - start
        for rank in missing:
            if seconds > SILENT_S if run.heartbeats is None else run.heartbeats.is_gone(rank):
                raise NotMetError(f"rank {rank} does not respond")
        if seconds > most_s:
            raise NotMetError(f"rank {missing[0]} still waits for its GPU after {most_s} s")
        time.sleep(POLL_S)
