"""Output that cannot fail: where a training prints must not decide how it ends."""

from __future__ import annotations

from contextlib import suppress
from io import FileIO, TextIOWrapper
from typing import Any, TextIO


class _Harmless(FileIO):
    """Drops what the file does not take: the reader or the terminal is gone, or the disk is full."""

    def write(self, data: Any, /) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        with suppress(OSError):
            while rest:
                rest = rest[super().write(rest) or len(rest) :]
        return size


def harmless(stream: TextIO) -> TextIO:
    """A stream to the same file that raises no error of it and prints every character, if need be by its number.

    It has no buffer, since Python would fail to flush one at the end of the process. A stream without a file, and one
    that was closed when the process started, stay as they are.
    """
    try:
        stream.flush()
        raw = _Harmless(stream.fileno(), "w", closefd=False)
    except (AttributeError, OSError, ValueError):
        return stream
    return TextIOWrapper(
        raw, encoding=stream.encoding, errors="backslashreplace", write_through=True
    )  # As `python -u` does.
