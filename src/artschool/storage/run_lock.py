"""A lock on a folder, so that two runs do not write to it at the same time."""

from __future__ import annotations

import fcntl
import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from artschool.errors import ResourceError
from artschool.paths import open_file, read_file
from artschool.storage.durable import temporary_path, translate_disk_errors
from artschool.storage.lock_owner import LockOwner, content_of_new_lock, may_be_of_lock

FILE = "run.lock"
READS = 10
"""How often the file of another run is read again while it is incomplete."""
BEAT_S = 10.0
"""Seconds between two touches of the file by its owner."""
STALE_S = 30.0
"""Seconds without a touch after which a process of another host no longer has the lock."""

Note = Callable[[str], object]
_held: weakref.WeakValueDictionary[Path, RunLock] = weakref.WeakValueDictionary()
"""The locks of this process by folder."""


def _silent(message: str) -> None:
    """Show nothing."""


class RunLock:
    """The lock of this process on a folder. It ends with the last reference to it, or with the process.

    The system locks the open file `run.lock` and unlocks it when the process ends for any reason. The file contains
    process id, host and start, and is deleted at the end; one that is left by a killed process does no harm.

    Some file systems lock no files, or only for the processes of one host. Therefore the process that the file names
    has the lock as well, as long as it runs. One of another host cannot be asked: it touches the file every `BEAT_S`
    seconds, and has lost the lock after `STALE_S` seconds without that.

    Attributes:
        is_training: Whether a run of this process is training in the folder.
        folder: The folder.
    """

    def __init__(self, folder: Path, descriptor: int, content: bytes) -> None:
        self.is_training = False
        self.folder = folder
        self.descriptor = descriptor
        self._beat = _Beat(folder / FILE, content)
        threading.Thread(target=self._beat.run, name="run.lock", daemon=True).start()
        weakref.finalize(self, _release, self._beat, descriptor, os.getpid())

    @property
    def content(self) -> bytes:
        """The content of the file, which no other lock has."""
        return self._beat.content

    @property
    def is_lost(self) -> bool:
        """Whether the file is gone or names another process, as its last touch has found. Reads no file."""
        return self._beat.is_lost

    def touch(self) -> None:
        """Touch the file now, as a thread does from time to time."""
        self._beat.touch()

    def taker(self) -> str:
        """The process that the file names now, in words. "": the file does not exist."""
        content = read_lock(self.folder)
        return str(LockOwner(content)) if content else ""


class _Beat:
    """Touches the file of a lock, in a thread, as long as it has its content."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self.content = path, content
        self.is_lost = False
        self.end = threading.Event()

    def run(self) -> None:
        """Touch the file until the end or the loss."""
        while not (self.is_lost or self.end.wait(BEAT_S)):
            self.touch()

    def touch(self) -> None:
        """Touch the file once, unless it is lost."""
        try:
            self.is_lost = not self.is_own()
            if not self.is_lost:
                os.utime(self.path)
        except FileNotFoundError:
            self.is_lost = not self.end.is_set()
        except OSError:
            pass  # The disk does not respond, which proves nothing.

    def is_own(self) -> bool:
        """Whether the file has the content that this process has written."""
        return self.path.read_bytes() == self.content


def read_lock(folder: Path) -> bytes:
    """The content of the lock of a folder. Empty: the folder is not locked."""
    with suppress(OSError):
        return read_file(folder / FILE)
    return b""


def is_foreign(folder: Path) -> bool:
    """Whether a folder has a file in place of a lock that no lock has written. One may be empty, or written in part."""
    return not may_be_of_lock(read_lock(folder))


def lock_folder(folder: Path, note: Note = _silent) -> RunLock:
    """Lock a folder. Further calls of this process for the same folder return the same lock.

    Waits for up to `STALE_S` seconds if the last owner of the lock is a process of another host that may have ended.

    Args:
        folder: An existing folder.
        note: Called with a message before a wait.

    Raises:
        ResourceError: Another process has the lock, or the file cannot be written.
    """
    key = folder.resolve()
    lock = _held.get(key)
    if lock is None or lock.is_lost:
        path = key / FILE
        content = content_of_new_lock()
        with translate_disk_errors(folder / FILE, 0):
            descriptor = _open(path)
            while not _locks(descriptor, path, folder, note):
                os.close(descriptor)
                descriptor = _open(path)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, content, 0)
        lock = _held[key] = RunLock(key, descriptor, content)
    return lock


def holder(folder: Path) -> str:
    """The process that has locked a folder, in words. Empty: none has, as far as can be known."""
    try:
        file = open_file(folder / FILE)
    except OSError:
        return ""
    with file:
        owner = _owner(file.fileno(), reads=1)
    return str(owner) if owner and not owner.has_ended() else ""


def is_held(folder: Path) -> bool:
    """Whether a process has locked a folder, as far as can be known without waiting.

    A process of this host must run, one of another host must have touched the file in the last `STALE_S` seconds, by
    the clock of this host.
    """
    path = folder / FILE
    owner = LockOwner(read_lock(folder))
    if owner.is_of_this_host:
        return owner.is_this_process or not owner.has_ended()
    with suppress(OSError):
        return time.time() - path.stat().st_mtime < STALE_S
    return False


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _locks(descriptor: int, path: Path, folder: Path, note: Note) -> bool:
    """Lock an open file. False: its owner has just deleted it."""
    owner = LockOwner()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        is_free, owner = False, _owner(descriptor, READS)
    except OSError:  # The file system cannot lock files.
        is_free = _is_left(descriptor, path, note, is_locked=False)
    else:
        is_free = _is_left(descriptor, path, note, is_locked=True)
    if not is_free:
        message = _in_use(folder, owner or _owner(descriptor))
        os.close(descriptor)
        raise ResourceError(message)
    with suppress(FileNotFoundError):
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    return False


def _is_left(descriptor: int, path: Path, note: Note, *, is_locked: bool) -> bool:
    """Whether no process that the file names has the lock any more.

    Args:
        is_locked: Whether the system has locked the file, which no other process of this host has then.
    """
    owner = _owner(descriptor)
    if owner.is_of_this_host:
        return is_locked or owner.has_ended()
    return not owner or not _is_touched(path, lambda seconds: note(_of_wait(path.parent, owner, seconds)))


def _is_touched(path: Path, before_wait: Callable[[float], object]) -> bool:
    """Whether a process of another host touches the file. Its clock and that of this host may differ."""
    with suppress(FileNotFoundError):
        last = path.stat().st_mtime
        seconds = STALE_S - max(_time_at(path) - last, 0)
        if seconds > 0:
            before_wait(seconds)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(0.2)
            with path.open("rb") as file:  # NFS looks at the server when a file is opened.
                if os.fstat(file.fileno()).st_mtime != last:
                    return True
    return False


def _time_at(path: Path) -> float:
    """The time of the file system, which dates the files."""
    probe = temporary_path(path, "tmp")
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _owner(descriptor: int, reads: int = 1) -> LockOwner:
    for attempt in range(reads):
        time.sleep(0.02 * bool(attempt))  # The owner has locked the file and is about to write it.
        if found := LockOwner(os.pread(descriptor, 4096, 0)):
            return found
    return LockOwner()


def _in_use(folder: Path, owner: LockOwner) -> str:
    return f"{folder}: in use by {owner}. Fix: stop it or wait for its end, or choose another folder with --run-dir"


def _of_wait(folder: Path, owner: LockOwner, seconds: float) -> str:
    return (
        f"{folder}: locked by {owner}. Its host cannot be asked whether it still runs, so this waits up to "
        f"{seconds:.0f} s for a sign of life"
    )


def _release(beat: _Beat, descriptor: int, process: int) -> None:
    if os.getpid() != process:
        return  # A forked process, which has closed the file already.
    beat.end.set()
    with suppress(OSError):
        if beat.is_own():
            beat.path.unlink()
    os.close(descriptor)


def _close_in_child() -> None:
    """Do not keep the lock in a worker that outlives its killed parent."""
    for lock in list(_held.values()):
        os.close(lock.descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)
