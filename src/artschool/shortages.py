"""What the machine lacks: memory, processes, open files. Recognizes its errors, whichever library raises them."""

from __future__ import annotations

import errno
import re
import resource
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from artschool.errors import ArtschoolError, ResourceError, first_line, text_of

_MEMORY = re.compile("out of memory|can't allocate memory|not enough memory|STATUS_ALLOC_FAILED")
"""What torch says about memory of the CPU, of devices without a class of error of their own, and of their libraries."""
_PROCESSES = re.compile("can't start new thread|Resource temporarily unavailable")
_PIDS = Path("/sys/fs/cgroup/pids.max")
"""The limit of the container, as the container sees it."""
_FIXES = {
    errno.EMFILE: "raise the limit of open files (`ulimit -n`) or set fewer `workers`",
    errno.ENFILE: "close other programs: the machine has too many open files",
}


class Shortage(NamedTuple):
    """A limit of the machine that is reached.

    Attributes:
        name: What there is too little of, in words.
        fix: What to do about it.
    """

    name: str
    fix: str


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the device or of the CPU did not suffice."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    is_text = isinstance(error, RuntimeError | ResourceError) and _MEMORY.search(text_of(error)) is not None
    # By name, since `artschool --help` does not import torch.
    return is_text or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def shortage_of(error: BaseException) -> Shortage | None:
    """The limit of the machine that has caused an error. None: none has."""
    if is_out_of_memory(error):
        return Shortage("out of memory", "end other programs, or choose smaller networks, samples or batches")
    number = error.errno if isinstance(error, OSError) else None
    if number in _FIXES:
        return Shortage("too many open files", _FIXES[number])
    if (number == errno.EAGAIN or isinstance(error, RuntimeError)) and _PROCESSES.search(text_of(error)):
        name = f"the limit of processes and threads is reached ({', '.join(_limits_of_processes())})"
        return Shortage(name, "raise it, or set fewer `workers` and OMP_NUM_THREADS=1")
    return None


def shortage_error(error: BaseException, where: str = "") -> ResourceError | None:
    """What to raise in place of an error that a limit of the machine has caused. None: none has.

    Frees what the frames of the error hold, which may be all memory of the device.

    Args:
        where: What was being done, in words.
    """
    if isinstance(error, ArtschoolError):
        return None
    for cause in causes(error):
        if (found := shortage_of(cause)) is not None:
            head = f"{f'{where}: ' if where else ''}{found.name}: {first_line(cause)}"
            notes = [f"in {note}" for note in getattr(error, "__notes__", [])]
            replacement = ResourceError("\n    ".join([head, *notes, f"Fix: {found.fix}"]))
            replacement.__cause__ = error
            clear_frames(error)
            return replacement
    return None


@contextmanager
def shortages_raised(where: str = "") -> Iterator[None]:
    """Raise what `shortage_error` has in place of an error of the block, before other code takes it for a mistake."""
    try:
        yield
    except Exception as error:
        if (shortage := shortage_error(error, where)) is not None:
            raise shortage  # noqa: B904  # it has its cause
        raise


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what has caused it, and so on."""
    while error is not None:
        yield error
        error = error.__cause__


def clear_frames(error: BaseException) -> None:
    """Free what the frames of an error and of its causes hold."""
    for cause in causes(error):
        traceback.clear_frames(cause.__traceback__)


def _limits_of_processes() -> Iterator[str]:
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    yield f"`ulimit -u` is {'unlimited' if limit == resource.RLIM_INFINITY else limit}"
    with suppress(OSError):
        yield f"pids.max of the container is {_PIDS.read_text().strip()}"
