"""A file to which records are appended. What the disk does not take is kept, and written when there is room again."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path

MOST_KEPT_BYTES = 64 * 1024**2
"""How much is kept while the disk takes nothing. Then the oldest records are dropped."""


class AppendedFile:
    """A file that ends after a whole record whenever the process is killed between two calls.

    Args:
        note: Called with a warning when the disk does not take a record, and with a message when it does again.
    """

    def __init__(self, path: Path, note: Callable[[str], None]) -> None:
        self._path, self._note = path, note
        self._file: FileIO | None = None
        self._end = 0
        self._kept: deque[bytes] = deque()
        self._dropped = 0
        self._failed = False

    def append(self, record: bytes) -> None:
        """Write a record, and those that are kept. An error of the disk is reported, not raised."""
        self._kept.append(record)
        try:
            self._write_kept()
        except OSError as error:
            if not self._failed:
                self._note(f"warning: {self._path}: cannot write: {error.strerror}; what is logged is kept for later")
            self._failed = True
            self._limit()
            return
        if self._failed:
            lost = f", without {self._dropped} records for which there was no memory" if self._dropped else ""
            self._note(f"{self._path}: can be written again; all that was kept is in it{lost}")
        self._failed, self._dropped = False, 0

    def close(self) -> None:
        """Try again to write what is kept, and close the file."""
        with suppress(OSError):
            self._write_kept()
        if self._kept:
            self._note(f"warning: {self._path}: {len(self._kept) + self._dropped} records are lost")
        self._kept.clear()
        with suppress(OSError):
            if self._file is not None:
                self._file.close()

    def _write_kept(self) -> None:
        if self._kept and self._file is None:
            self._file = FileIO(self._path, "ab")
            self._end = self._file.tell()
        if self._file is None or self._file.closed:
            return
        if self._failed:
            os.ftruncate(self._file.fileno(), self._end)  # A part of a record may have been written.
        while self._kept:
            data = self._kept[0]
            written = 0
            while written < len(data):
                written += self._file.write(data[written:]) or 0
            self._end += len(data)
            self._kept.popleft()

    def _limit(self) -> None:
        while sum(map(len, self._kept)) > MOST_KEPT_BYTES:
            self._kept.popleft()
            self._dropped += 1
