"""Work of several processes that succeeds or fails in all of them, and the checkpoint that rank 0 chooses for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from artschool import ranks
from artschool.diff.settings import changed_settings
from artschool.errors import ArtschoolError, CheckpointError, describe
from artschool.storage import checkpoint_files
from artschool.storage.checkpoint_files import Checkpoint

Result = TypeVar("Result")
MAX_LISTED = 8
"""Maximum number of differences in a message."""
_FIX = "Rank 0 has chosen this checkpoint. Fix: put the run folder on a disk that all machines share"


def together(work: Callable[[], Result]) -> Result:
    """Do work in every process, and wait for the others.

    Raises:
        ArtschoolError: The first error, by rank, that the work has raised in any process.
    """
    if ranks.world_size() == 1:
        return work()
    error: ArtschoolError | None = None
    try:
        result = work()
    except ArtschoolError as failure:
        error = failure
    except Exception as failure:
        # Its class may be one that cannot be sent. Python ends with 1 after it, and so do the others.
        ranks.gather(ArtschoolError(f"rank {ranks.rank()}: {describe(failure)}"))
        raise
    for found in ranks.gather(error):
        if found is not None:
            raise found
    return result


def by_main(work: Callable[[], Result]) -> Result:
    """Do work in rank 0 only. Every process must call this, and gets its result or its error.

    Raises:
        ArtschoolError: The error of the work.
    """
    has_work = ranks.is_main() or ranks.world_size() == 1
    return cast("Result", ranks.gather(together(work) if has_work else together(_nothing))[0])


def load_chosen(path: Path) -> Checkpoint:
    """Load the checkpoint that rank 0 has chosen and verified. Every process must call this.

    Its bytes are compared with its manifest once on each machine.

    Values of tensors are read from the disk when they are used, so that they are in memory once.

    Args:
        path: That of rank 0.

    Raises:
        CheckpointError: A process does not find the checkpoint, or finds another one, or it is damaged.
    """

    def load() -> Checkpoint:
        is_verified = ranks.is_main() or ranks.local_rank() > 0  # By the first process of this machine.
        try:
            return checkpoint_files.load(path, mapped=True, is_verified=is_verified)
        except CheckpointError as error:
            if ranks.is_main():
                raise
            raise CheckpointError(f"rank {ranks.rank()}: {error}. {_FIX}") from error

    loaded = together(load)
    for rank, manifest in enumerate(manifests := ranks.gather(loaded.manifest)):
        if manifest != manifests[0]:
            raise CheckpointError(f"rank {rank}: {path}: differs from the checkpoint that rank 0 has found. {_FIX}")
    return loaded


def require_same(facts: Mapping[str, Any], refuse: Callable[[str], ArtschoolError]) -> None:
    """Compare facts of all processes with those of rank 0. Every process must call this.

    Args:
        facts: Plain values, nested by name.
        refuse: Makes the error from its message.

    Raises:
        ArtschoolError: A process has other facts. All processes raise the same error.
    """
    first, *others = ranks.gather(dict(facts))
    for rank, other in enumerate(others, 1):
        if lines := list(map(str, changed_settings(first, other))):
            more = f"\n    and {len(lines) - MAX_LISTED} more" if len(lines) > MAX_LISTED else ""
            listing = "".join(f"\n    {line}" for line in lines[:MAX_LISTED]) + more
            raise refuse(f"rank {rank} does not have the same as rank 0:{listing}")


def _nothing() -> None:
    """The work of a process that does none."""
