"""What ends a block of code of components, as the error to raise. A process that it has forked ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from artschool.engine.signals import TWICE, Interrupted
from artschool.errors import describe, readable
from artschool.shortages import shortage_error
from artschool.storage.processes import ended_if_forked

CODE = "the code of a component"


def as_error(end: BaseException, where: str = "") -> BaseException:
    """What has ended a block, or the error to raise in its place.

    `sys.exit()` in a loss must not end a run with exit code 0. Ctrl-C is `Interrupted` here, except for the second one.
    An error that a limit of the machine has caused, such as its memory, becomes a `ResourceError`. One without a
    readable text becomes one with a text.

    Args:
        where: What the block does, in words, for that error.
    """
    end = readable(end)
    if (shortage := shortage_error(end, where)) is not None:
        return shortage
    if isinstance(end, Exception | Interrupted) or str(end) == TWICE:
        return end
    error = RuntimeError(f"{CODE} tried to end the process: {describe(end)}")
    error.__cause__, error.__notes__ = end, list(getattr(end, "__notes__", []))
    return error


@contextmanager
def without_exits(where: str = "") -> Iterator[None]:
    """Raise what ends the block as `as_error` has it, and end a process that it has forked."""
    try:
        with ended_if_forked(lambda: where or CODE):
            yield
    except BaseException as end:
        if (error := as_error(end, where)) is end:
            raise
        raise error  # noqa: B904  # it has its cause
