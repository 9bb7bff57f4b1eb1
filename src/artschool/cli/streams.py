"""Output that cannot fail: where a training prints must not decide how it ends."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from io import FileIO, TextIOWrapper
from typing import Any, TextIO

from artschool import waits

PATIENCE_MS = 1000
"""Milliseconds for which a process that a signal ends waits for the reader of its output."""


class _Harmless(FileIO):
    """Drops what the file does not take: the reader or the terminal is gone, or the disk is full.

    It waits for a reader that is slow or stopped, until a signal ends the process.
    """

    def __init__(self, file: int) -> None:
        super().__init__(file, "w", closefd=False)
        self._ready = select.poll()
        self._ready.register(file, select.POLLOUT)
        self._patience = PATIENCE_MS

    def write(self, data: Any, /) -> int:
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


def harmless(stream: TextIO) -> TextIO:
    """A stream to the same file that raises no error of it and prints every character, if need be by its number.

    It has no buffer, since Python would fail to flush one at the end of the process. A stream without a file, and one
    that was closed when the process started, stay as they are.
    """
    try:
        stream.flush()
        raw = _opened(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return stream
    return TextIOWrapper(
        raw, encoding=stream.encoding, errors="backslashreplace", write_through=True
    )  # As `python -u` does.


def _opened(file: int) -> _Harmless:
    """Open a terminal again, for writes that cannot wait: where it takes some bytes, it may not take all of them."""
    with suppress(OSError):
        if os.isatty(file):
            return _Harmless(os.open(os.ttyname(file), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK))
    return _Harmless(file)
