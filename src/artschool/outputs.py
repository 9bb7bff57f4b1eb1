"""Output whose reader may be slow, stopped or gone: a frozen terminal, a pipe that nobody reads, a full disk."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from io import FileIO
from typing import Any

from artschool import waits

PATIENCE_MS = 1000
"""Milliseconds for which a process that a signal ends waits for the reader of its output."""


class Output(FileIO):
    """Drops what the file does not take: the reader or the terminal is gone, or the disk is full.

    It waits for a reader that is slow or stopped, until a signal ends the process.
    """

    def __init__(self, file: int, *, closefd: bool) -> None:
        super().__init__(file, "w", closefd=closefd)
        self._ready = select.poll()
        self._ready.register(file, select.POLLOUT)
        self._patience = PATIENCE_MS

    def write(self, data: Any, /) -> int:
        """Write what the file takes of some bytes. Returns their number."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        with suppress(OSError):
            while rest:
                is_ready = self._ready.poll(self._patience)
                # A pipe that is ready takes so many bytes at once, so that this does not wait.
                taken = super().write(rest[: select.PIPE_BUF]) if is_ready else 0
                if not taken and waits.is_ending():
                    self._patience = 0
                    break
                rest = rest[taken or 0 :]
        return size


def output_to(file: int) -> Output:
    """Output to an open file, given by its number.

    A terminal is opened again, for writes that cannot wait: where it takes some bytes, it may not take all of them.
    """
    with suppress(OSError):
        if os.isatty(file):
            return Output(os.open(os.ttyname(file), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK), closefd=True)
    return Output(file, closefd=False)
