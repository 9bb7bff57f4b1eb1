"""What a thread writes to standard error although nobody may read it: a frozen terminal or a full pipe."""

from __future__ import annotations

import faulthandler
import os
import select
import sys
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO

from artschool.wording.hidden import without_hidden

PATIENCE_MS = 1000
"""Milliseconds for which the writer waits for the reader, each time."""
_FILE = 2


def write_stacks() -> None:
    """Write where each thread is. `faulthandler` itself would stop all threads where nobody reads."""
    with suppress(OSError), _memory() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        write(file.read().decode(errors="replace"))


def write(text: str) -> None:
    """Write what the reader takes. Needs no lock of `sys.stderr`, which another thread may hold."""
    rest = without_hidden(text).encode(errors="backslashreplace")
    with suppress(OSError):
        file = _opened()
        try:
            ready = select.poll()
            ready.register(file, select.POLLOUT)
            while rest and ready.poll(PATIENCE_MS):
                rest = rest[os.write(file, rest[: select.PIPE_BUF]) :]
        finally:
            os.close(file)


def _opened() -> int:
    """A terminal is opened again: where it takes some bytes, it may not take all of them."""
    with suppress(OSError):
        if os.isatty(_FILE):
            return os.open(os.ttyname(_FILE), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    return os.dup(_FILE)


def _memory() -> IO[bytes]:
    """A file that needs no disk, where the system has one."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("stacks"), "w+b")
    return TemporaryFile()
