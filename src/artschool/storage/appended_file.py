"""A log to which whole records are appended."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from pathlib import Path

from artschool.paths import is_dir
from artschool.storage.durable import own_file, translate_disk_errors

MOST_WAITING = 64 * 2**20
"""Maximum number of bytes that `AppendedFile` keeps while the disk refuses them."""


class AppendedFile:
    """A log to which whole records are appended; another process sees each at once.

    What the disk refuses is kept in memory, and written before the next record. Of a record that is written in part,
    nothing stays in the file. If the file is deleted or replaced, the records that follow go to the file of its name.

    Args:
        path: An existing file, or a new one. Other names of the file keep its content.

    Raises:
        ResourceError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: deque[bytes] = deque()
        own_file(path)
        with translate_disk_errors(path, 0):
            self._descriptor = self._opened()
            self._size = os.fstat(self._descriptor).st_size

    def append(self, record: bytes) -> None:
        """Append a record.

        Raises:
            ResourceError: The disk refuses it, or one before it. It is kept, unless 64 MiB of later ones are, too.
        """
        self._waiting.append(record)
        self._write_waiting()

    def close(self) -> None:
        """Close the file. Raises what `append` raises, once the file is closed."""
        try:
            self._write_waiting()
        finally:
            os.close(self._descriptor)

    def _write_waiting(self) -> None:
        size = sum(map(len, self._waiting))
        while size > MOST_WAITING and len(self._waiting) > 1:
            size -= len(self._waiting.popleft())
        with translate_disk_errors(self._path, size):
            self._follow_name()
            while self._waiting:
                self._write(self._waiting[0])
                self._size += len(self._waiting.popleft())

    def _opened(self) -> int:
        # A pipe of that name must not make it wait.
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o666)

    def _follow_name(self) -> None:
        """Open the file of the name if the one that is open has no name any more. Without its folder, keep it."""
        if os.fstat(self._descriptor).st_nlink == 0 and is_dir(self._path.parent):
            opened = self._opened()
            os.close(self._descriptor)
            self._descriptor, self._size = opened, os.fstat(opened).st_size

    def _write(self, record: bytes) -> None:
        rest = memoryview(record)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
