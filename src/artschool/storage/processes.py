"""What the system knows about processes: a child that ends with its parent, one that its code has forked, and whether
another process has ended."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

ENDS_WITH = "ARTSCHOOL_ENDS_WITH"
"""The variable by which a process tells a child of the command line to stop when it ends: its process id."""
_PR_SET_PDEATHSIG = 1
_STATE, _START = 0, 19
"""Columns of /proc/PID/stat after the name: the state, and when the process has started."""


def end_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Let the system send a signal to this process when its parent ends, whatever ends it. Linux only.

    The parent is the thread that has started this process. The setting ends with `exec` of a program that changes
    privileges, and is not inherited by processes that this one starts.

    Args:
        parent: The process id of the parent. If it has ended already, the signal is sent at once.
        number: The signal.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:  # It has ended before the call.
        os.kill(os.getpid(), number)


class _Forks:
    count = 0
    """How many forks there are between the first process of Python and this one."""


def _count_fork() -> None:
    _Forks.count += 1


os.register_at_fork(after_in_child=_count_fork)


class ended_if_forked:  # noqa: N801  # called like a function; a generator would take longer
    """End a process that the block has forked, when it leaves the block: it would go on as a copy of this one.

    Its exit code is that of `sys.exit`. Without one, it is 1, and a line on stderr says so.

    Args:
        what: Returns what the code in the block is, for that line.
    """

    __slots__ = ("_count", "_what")

    def __init__(self, what: Callable[[], str]) -> None:
        self._what = what

    def __enter__(self) -> None:
        self._count = _Forks.count

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if _Forks.count != self._count:
            _end_forked(self._what(), error)


def _end_forked(what: str, error: BaseException | None) -> NoReturn:
    code = 1
    if isinstance(error, SystemExit) and isinstance(error.code, int | None):
        code = error.code or 0
    else:
        with suppress(Exception):
            if error is not None:
                traceback.print_exception(error)
            fix = "Fix: end it with os._exit, or start a program with `subprocess`"
            sys.stderr.write(f"{what} has forked a copy of this process, which is ended. {fix}\n")
            sys.stderr.flush()
    os._exit(code)


def start_of(process: int) -> str:
    """When a process has started, which distinguishes it from a later one of the same id. "": it has ended, or unknown.

    A zombie has ended.
    """
    state, start = _status(process)
    return "" if state in "ZX" else start


def runs(process: int, start: str) -> bool:
    """Whether a process, given with its `start_of`, has neither ended nor been stopped, as by SIGSTOP."""
    return _status(process)[1] == start and _status(process)[0] not in "ZXTt"


def _status(process: int) -> tuple[str, str]:
    """The state of a process, and when it has started. Empty: it has ended, or unknown."""
    with suppress(OSError, IndexError):
        columns = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return columns[_STATE], f"{boot()}/{columns[_START]}"
    return "", ""


def boot() -> str:
    """The id of the start of this machine, which is another one after each start. "": unknown."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
