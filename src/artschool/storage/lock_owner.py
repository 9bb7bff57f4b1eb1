"""The process that the file of a lock names: who it is, and whether it still runs."""

from __future__ import annotations

import json
import os
import secrets
import socket
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from artschool.storage.processes import start_of

_START = b'{"pid": '
"""How the content of a lock begins."""


class LockOwner:
    """The process that the content of a lock names. False if it names none, such as before it is written.

    Anything may be in the file: what it lacks, or has of another type, is unknown.
    """

    def __init__(self, content: bytes = b"") -> None:
        self._found: dict[str, Any] = {}
        with suppress(ValueError, RecursionError):
            found = json.loads(content)
            self._found = found if isinstance(found, dict) else {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def __str__(self) -> str:
        is_known = {"pid", "host", "start"} <= self._found.keys()
        return "process {pid} on {host}, started {start}".format_map(self._found) if is_known else "another process"

    @property
    def is_this_process(self) -> bool:
        """Whether the process id is that of this process, provided that the process is of this host."""
        return bool(self._found.get("pid") == os.getpid())

    @property
    def is_of_this_host(self) -> bool:
        """Whether this host can say whether the process runs."""
        return bool(self._found.get("host") == socket.gethostname())

    def has_ended(self) -> bool:
        """Whether a process of this host has ended. This process has, as it knows the locks that it has."""
        process = self._found.get("pid")
        if not isinstance(process, int) or process == os.getpid():
            return True
        try:
            os.kill(process, 0)
        except (ProcessLookupError, OverflowError):  # No process has a number as large as that.
            return True
        except OSError:  # That of another user.
            pass
        start = self._found.get("process")
        return bool(start) and start_of(process) != start


def content_of_new_lock() -> bytes:
    """What names this process, unlike that of any other lock."""
    start = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    own = {"pid": os.getpid(), "host": socket.gethostname(), "start": start, "process": start_of(os.getpid())}
    return json.dumps({**own, "lock": secrets.token_hex(4)}).encode()


def may_be_of_lock(content: bytes) -> bool:
    """Whether a lock may have written the content, which may be empty, or written in part."""
    return content.startswith(_START[: len(content)])
