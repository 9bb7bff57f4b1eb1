"""What the system knows about processes: a child that ends with its parent, and whether another process has ended."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

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


def start_of(process: int) -> str:
    """When a process has started, which distinguishes it from a later one of the same id. "": it has ended, or unknown.

    A zombie has ended.
    """
    with suppress(OSError, IndexError):
        columns = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return "" if columns[_STATE] in "ZX" else f"{boot()}/{columns[_START]}"
    return ""


def boot() -> str:
    """The id of the start of this machine, which is another one after each start. "": unknown."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
