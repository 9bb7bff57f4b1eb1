"""How the training of a run ends before its last iteration: what is saved, in which order, and what is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from artschool import ranks
from artschool.engine import checkpoint
from artschool.engine.run_state import RunState
from artschool.engine.saving import is_sharded
from artschool.engine.signals import Interrupted, exit_code_of, ignore_others, name_of
from artschool.errors import ArtschoolError, EndedByOther, Stopped


@contextmanager
def saved_at_a_signal(run: RunState) -> Iterator[None]:
    """If a signal ends the block, save the last finished iteration.

    This comes before loggers and workers are closed, which may take time that the sender of the signal does not give.

    Raises:
        Stopped: A signal has ended the block.
    """
    try:
        yield
    except Interrupted as end:
        is_saved = _save(run, end)
        saved = "a checkpoint is saved" if is_saved else "it is not saved, since other processes do not respond"
        raise Stopped(
            f"{name_of(end.number)}: stopped after iteration {run.iteration}; {saved}. "
            "To resume, run the same command again",
            exit_code_of(end.number),
        ) from None


def _save(run: RunState, end: Interrupted) -> bool:
    """Save, with the other processes or without them. Returns whether the last finished iteration is saved.

    Without them, only the main process can save, and only if it has all parameters.
    """
    if end.is_agreed or ranks.world_size() == 1:
        checkpoint.save_now(run)
    elif ranks.is_main() and not is_sharded(run):
        with ranks.single_process():
            checkpoint.save_now(run)
    return run.saved_at == run.iteration


@contextmanager
def ending_together() -> Iterator[None]:
    """The work of a command in every process. If one ends with an error, all end with its exit code.

    It reports its error before its connections close, so that the others, which lose them, report theirs later.

    Raises:
        EndedByOther: Another process has ended before, which made this one fail.
    """
    try:
        yield
        ranks.wait()  # A process that leaves the group while another is still working may crash the other.
    except BaseException as error:
        if ranks.world_size() > 1:
            _end_with_others(error)
        raise
    ranks.stop()


def _end_with_others(error: BaseException) -> None:
    ignore_others()  # The launcher ends all processes when the first one has ended.
    if isinstance(error, Exception) and not isinstance(error, ArtschoolError) and (first := ranks.first_end()):
        rank, exit_code = first
        own = (str(error).splitlines() or [""])[0]
        message = f"rank {ranks.rank()} ends because rank {rank} has ended ({type(error).__name__}: {own:.100})"
        raise EndedByOther(message, exit_code) from error
    ranks.announce_end(getattr(error, "exit_code", 1))
