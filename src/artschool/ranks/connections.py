"""The connections between processes, which one of them can end although its process groups are still in use.

torch closes a connection of gloo when nothing refers to its group any more. Sharded networks refer to theirs.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_made: set[tuple[int, int]] = set()
"""The sockets that process groups have opened: number of the file and inode, as numbers are used again."""


@contextmanager
def recorded() -> Iterator[None]:
    """Remember the connections that are made in the context, so that `end_all` ends them."""
    before = _sockets()
    try:
        yield
    finally:
        _made.update(_sockets() - before)


def end_all() -> None:
    """Send nothing more through the recorded connections: what other processes wait for from this one fails there."""
    store = int(os.environ.get("MASTER_PORT", "0"))
    for number, inode in _made & _sockets():
        # One that listens has no peer. gloo may close others in its thread, as soon as the first one has ended.
        with suppress(OSError), socket.socket(fileno=os.dup(number)) as connection:
            is_same = os.fstat(connection.fileno()).st_ino == inode
            if is_same and store not in (connection.getsockname()[1], connection.getpeername()[1]):
                connection.shutdown(socket.SHUT_WR)
    _made.clear()


def _sockets() -> set[tuple[int, int]]:
    """The sockets of this process. Empty where the system does not list them."""
    found = set()
    with suppress(OSError):
        for number in [int(path.name) for path in Path("/dev/fd").iterdir()]:
            with suppress(OSError):  # The one that listed them is closed.
                status = os.fstat(number)
                if stat.S_ISSOCK(status.st_mode):
                    found.add((number, status.st_ino))
    return found
