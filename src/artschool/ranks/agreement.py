"""Decisions that all processes make in the same way, and work that any of them may abandon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from artschool.ranks.group import may_wait, world_size

_attempt: Attempt | None = None


@may_wait
def largest(flag: int) -> int:
    """The largest flag of all processes, so that they all make the same decision."""
    check_attempt()
    return _largest(flag)


def largest_soon(read: Callable[[], int]) -> Callable[[], int]:
    """Like `largest`, but the processes communicate while they compute something else. Calling the result waits.

    Args:
        read: Returns the flag. Several processes read it now; a single one reads it when it calls the result.
    """
    if world_size() == 1:
        return read
    largest = torch.tensor(read())
    work = dist.all_reduce(largest, dist.ReduceOp.MAX, async_op=True)
    assert work is not None

    @may_wait
    def wait() -> int:
        work.wait()
        return int(largest)

    return wait


@may_wait
def _largest(flag: int) -> int:
    if world_size() == 1:
        return flag
    largest = torch.tensor(flag)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


class AbandonedError(Exception):
    """Another process has abandoned the attempt, so that this one must not wait for it."""


class Attempt:
    """Work of all processes that any of them may abandon, although they communicate in it. See `attempt`."""

    def __init__(self) -> None:
        self._is_over = False

    def abandon(self) -> None:
        """Abandon the work: the others leave it where they would communicate next. Returns when all have left it."""
        if not self._is_over:
            self._compare(abandoned=True)

    def check(self) -> None:
        """Compare with the other processes before communicating with them, and at the end of the work.

        Raises:
            AbandonedError: Another process has abandoned the work.
        """
        if self._compare(abandoned=False):
            raise AbandonedError

    def _compare(self, *, abandoned: bool) -> bool:
        self._is_over = bool(_largest(abandoned))
        return self._is_over


@contextmanager
def attempt() -> Iterator[Attempt]:
    """Work that all processes do, and that any may abandon.

    Inside the context, whatever communicates in this module first asks whether a process has abandoned the work, except
    the sums of `start_sum`, which take part in any case.
    """
    global _attempt  # noqa: PLW0603  # likewise
    _attempt = Attempt()
    try:
        yield _attempt
    finally:
        _attempt = None


def check_attempt() -> None:
    """Called right before the processes communicate. Nothing that can fail may lie between."""
    if _attempt is not None:
        _attempt.check()
