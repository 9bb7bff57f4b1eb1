"""How the training of a run ends before its last iteration: what is saved, in which order, and what is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from artschool import ranks
from artschool.engine import checkpoint
from artschool.engine.exits import without_exits
from artschool.engine.run_state import RunState
from artschool.engine.signals import Interrupted, exit_code_of, name_of, noted
from artschool.engine.way_out import NotSavedError, save_last
from artschool.errors import ArtschoolError, EndedByOther, ResourceError, Stopped, first_line


@contextmanager
def saved_at_a_signal(run: RunState) -> Iterator[None]:
    """If a signal ends the block, save the last finished iteration.

    This comes before loggers and workers are closed, which may take time that the sender of the signal does not give.
    A process that has heard a signal, and whose connections break, ends likewise: another one has left at the signal
    while it waited for data.

    Raises:
        Stopped: A signal has ended the block.
    """
    try:
        yield
    except Interrupted as end:
        raise _stopped(run, end.number, is_agreed=end.is_agreed) from None
    except Exception as error:
        if not (number := noted()) or not ranks.is_lost(error):
            raise
        raise _stopped(run, number, is_agreed=False) from None


def _stopped(run: RunState, number: int, *, is_agreed: bool) -> Stopped:
    """Save as far as possible. Returns the end of the training."""
    if not run.is_kept:
        return Stopped(f"{name_of(number)}: stopped after iteration {run.iteration}", exit_code_of(number))
    try:
        if is_agreed:
            checkpoint.save_now(run)
        else:
            save_last(run, Interrupted(number))
        saved = "a checkpoint is saved"
    except NotSavedError as reason:
        saved = f"{str(reason)[0].lower()}{str(reason)[1:]}"
    return Stopped(
        f"{name_of(number)}: stopped after iteration {run.iteration}; {saved}. To resume, run the same command again",
        exit_code_of(number),
    )


@contextmanager
def ending_together() -> Iterator[None]:
    """The work of a command in every process. If one ends with an error, all end with its exit code.

    It reports its error before its connections close, so that the others, which lose them, report theirs later.

    Raises:
        EndedByOther: Another process has ended before, which made this one fail.
    """
    try:
        with without_exits():
            yield
            ranks.wait()  # A process that leaves the group while another is still working may crash the other.
    except BaseException as error:
        if ranks.world_size() > 1:
            _end_with_others(error)
        raise
    ranks.stop()


def _end_with_others(error: BaseException) -> None:
    end = ranks.first_end()
    rank, exit_code = end or (ranks.rank(), 1)
    if isinstance(error, Exception) and not isinstance(error, ArtschoolError):
        if rank != ranks.rank():
            raise _ended_by_other(
                f"rank {rank} has ended ({type(error).__name__}: {first_line(error):.100})", exit_code, error
            )
        if end is None and ranks.is_lost(error):
            other = f"rank {1 - rank}" if ranks.world_size() == 2 else "another process"
            reason = f"{other} has ended without an error of its own, as a process that the system kills for its memory"
            raise _ended_by_other(reason, ResourceError.exit_code, error)
    ranks.announce_end(getattr(error, "exit_code", 1))


def _ended_by_other(reason: str, exit_code: int, error: Exception) -> EndedByOther:
    ended = EndedByOther(f"rank {ranks.rank()} ends because {reason}", exit_code)
    ended.__cause__, ended.__notes__ = error, list(getattr(error, "__notes__", []))
    return ended
