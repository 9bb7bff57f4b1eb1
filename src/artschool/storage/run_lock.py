"""A lock on a folder, so that two runs do not write to it at the same time."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
import weakref
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from artschool.errors import ResourceError
from artschool.storage.durable import translate_disk_errors

FILE = "run.lock"
READS = 10
"""How often the file of another run is read again while it is incomplete."""

_held: weakref.WeakValueDictionary[Path, RunLock] = weakref.WeakValueDictionary()
"""The locks of this process by folder."""


class RunLock:
    """The lock of this process on a folder. It ends with the last reference to it, or with the process.

    The system locks the open file `run.lock` and unlocks it when the process ends for any reason. The file contains
    process id, host and start, and is deleted at the end; one that is left by a killed process does no harm. Where the
    file system cannot lock files, a process that the file names and that is not known to have ended has the lock.

    Attributes:
        is_training: Whether a run of this process is training in the folder.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.is_training = False
        self.descriptor = descriptor
        weakref.finalize(self, _release, path, descriptor, os.getpid())


def lock_folder(folder: Path) -> RunLock:
    """Lock a folder. Further calls of this process for the same folder return the same lock.

    Args:
        folder: An existing folder.

    Raises:
        ResourceError: Another process has the lock, or the file cannot be written.
    """
    key = folder.resolve()
    lock = _held.get(key)
    if lock is None:
        path = key / FILE
        with translate_disk_errors(folder / FILE, 0):
            descriptor = _open(path)
            while not _locks(descriptor, path, folder):
                os.close(descriptor)
                descriptor = _open(path)
            own = {"pid": os.getpid(), "host": socket.gethostname(), "start": _now()}
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(own).encode(), 0)
        lock = _held[key] = RunLock(path, descriptor)
    return lock


def holder(folder: Path) -> str:
    """The process that has locked a folder, in words. Empty: none has, as far as can be known."""
    try:
        descriptor = os.open(folder / FILE, os.O_RDONLY)
    except OSError:
        return ""
    try:
        owner = _owner(descriptor, reads=1)
    finally:
        os.close(descriptor)
    return _described(owner) if owner and not _has_ended(owner) else ""


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _locks(descriptor: int, path: Path, folder: Path) -> bool:
    """Lock an open file. False: its owner has just deleted it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        message = _in_use(folder, _owner(descriptor))
        os.close(descriptor)
        raise ResourceError(message) from None
    except OSError:  # The file system cannot lock files.
        owner = _owner(descriptor, reads=1)
        if owner and not _has_ended(owner):
            os.close(descriptor)
            raise ResourceError(f"{_in_use(folder, owner)}. If it has ended, delete {folder / FILE}") from None
    with suppress(FileNotFoundError):
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    return False


def _owner(descriptor: int, reads: int = READS) -> dict[str, Any]:
    for attempt in range(reads):
        time.sleep(0.02 * bool(attempt))  # The owner has locked the file and is about to write it.
        with suppress(ValueError):
            found = json.loads(os.pread(descriptor, 4096, 0))
            if isinstance(found, dict):
                return found
    return {}


def _in_use(folder: Path, owner: dict[str, Any]) -> str:
    return (
        f"{folder}: in use by {_described(owner)}. "
        "Fix: stop it or wait for its end, or choose another folder with --run-dir"
    )


def _described(owner: dict[str, Any]) -> str:
    is_known = {"pid", "host", "start"} <= owner.keys()
    return "process {pid} on {host}, started {start}".format_map(owner) if is_known else "another process"


def _has_ended(owner: dict[str, Any]) -> bool:
    """Whether a process has ended for certain. Processes of other hosts cannot be asked."""
    if owner.get("host") != socket.gethostname() or not isinstance(owner.get("pid"), int):
        return False
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return bool(owner["pid"] == os.getpid())


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _release(path: Path, descriptor: int, process: int) -> None:
    if os.getpid() != process:
        return  # A forked process, which has closed the file already.
    with suppress(OSError):
        path.unlink()
    os.close(descriptor)


def _close_in_child() -> None:
    """Do not keep the lock in a worker that outlives its killed parent."""
    for lock in list(_held.values()):
        os.close(lock.descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)
