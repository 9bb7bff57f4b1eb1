"""Which process ends first, as the processes tell each other without waiting."""

from __future__ import annotations

import os
from contextlib import suppress

import torch.distributed as dist

from artschool.ranks.group import has_launcher, rank, store


def announce_end(exit_code: int) -> None:
    """Let the other processes know that this one ends, unless another one has announced that before."""
    if not has_launcher():
        return
    with suppress(RuntimeError):  # The process that serves the store may have ended.
        store().compare_set(_end_key(), "", f"{rank()} {exit_code}")


def first_end() -> tuple[int, int] | None:
    """The rank and the exit code of the process that has announced its end first. None: none has."""
    if not has_launcher():
        return None
    with suppress(RuntimeError):
        if store().check([_end_key()]):
            first, exit_code = store().get(_end_key()).split()
            return int(first), int(exit_code)
    return None


def is_lost(error: BaseException) -> bool:
    """Whether an error means that the connection to another process is lost, or that it does not respond."""
    return isinstance(error, dist.DistError) or "/gloo/" in str(error)  # gloo has no class of its own.


def _end_key() -> str:
    return f"artschool/end/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
