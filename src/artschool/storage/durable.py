"""The one way to disk: a file or a folder appears complete or not at all, and survives a loss of power.

Everything is first written under a temporary name beside its place (`.tmp-<name>-<random>`), synced, renamed,
and the folder above is synced too: without that last step a power failure may undo the rename.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import signal
import stat
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from artschool.errors import ResourceError

FAULT_POINTS = (
    "before_write",
    "after_write",
    "before_fsync",
    "before_manifest",
    "before_rename",
    "after_rename",
    "before_rotate",
    "mid_rotate",
)

_TEMPORARY = re.compile(r"\.(?P<kind>tmp|old|del)-(?P<name>.+)-[0-9a-f]{8}")
_FAULT = re.compile(r"(?P<name>\w+)(:(?P<nth>[1-9]\d*))?=(?P<action>\w+)(:(?P<seconds>\d+(\.\d+)?))?", re.ASCII)
_passages: Counter[str] = Counter()


def write_file(path: Path, data: bytes) -> None:
    """Write a file so that its place holds the old content or the new, whenever process or power dies.

    Raises:
        ResourceError: The disk is full or refuses. The old content is untouched, the temporary file removed.
    """
    temporary = temporary_path(path, "tmp")
    try:
        write_bytes(temporary, data)
        with translate_disk_errors(path, len(data)):
            fault_point("before_fsync")
            _sync(temporary)
            fault_point("before_rename")
            os.replace(temporary, path)  # noqa: PTH105  the tests record the calls of `os`
            fault_point("after_rename")
            _sync(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextmanager
def committed_folder(target: Path, *, aside: Path | None = None) -> Iterator[Path]:
    """Fill a folder that appears at `target` as a whole when the block ends, or not at all when it raises.

    Args:
        target: Where the folder shall be. Nothing may be there, unless `aside` is given.
        aside: Where to move what is at `target` just before the new folder takes its place. If the process
            dies between the two renames, the old folder is complete at `aside`. The caller deletes it.

    Yields:
        A temporary folder to write plain files into, no folders, with `write_bytes`; the end syncs them all.

    Raises:
        ResourceError: The disk is full or refuses, or `target` is taken. The temporary folder is removed.
    """
    temporary = temporary_path(target, "tmp")
    try:
        with translate_disk_errors(target, 0):
            temporary.mkdir()
        yield temporary
        files = sorted(temporary.iterdir())
        with translate_disk_errors(target, sum(file.stat().st_size for file in files)):
            fault_point("before_fsync")
            for file in files:
                _sync(file)
            _sync(temporary)
            _rename_folder(temporary, target, aside)
            fault_point("after_rename")
            _sync(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a new file inside a `committed_folder`, which makes it durable. Elsewhere use `write_file`.

    Raises:
        ResourceError: The disk is full or refuses, or the file exists.
    """
    with translate_disk_errors(path, len(data)):
        fault_point("before_write")
        with path.open("xb") as file:
            file.write(data)
        fault_point("after_write")


def make_folder(path: Path) -> None:
    """Create a folder and those above it, durably.

    Raises:
        ResourceError: The disk is full or refuses.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    with translate_disk_errors(path, 0):
        path.mkdir(exist_ok=True)
        _sync(path.parent)


def move_folder(path: Path, target: Path) -> None:
    """Rename a folder to a free name beside it, durably.

    Raises:
        ResourceError: The disk refuses, or there is something at `target`.
    """
    with translate_disk_errors(target, 0):
        _rename_folder(path, target, None)
        _sync(target.parent)


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove the temporary files that a killed `write_file` left in a folder that nobody else writes to.

    Returns:
        What was removed. Links and folders stay.
    """
    found = [path for path in sorted(folder.iterdir()) if (split := split_temporary(path)) and split[0] == "tmp"]
    leftovers = [path for path in found if stat.S_ISREG(path.lstat().st_mode)]
    for path in leftovers:
        path.unlink()
    return leftovers


def temporary_path(path: Path, kind: str) -> Path:
    """A fresh name beside `path`. Kinds: `tmp` being written, `old` set aside, `del` being deleted."""
    return path.with_name(f".{kind}-{path.name}-{secrets.token_hex(4)}")


def split_temporary(path: Path) -> tuple[str, str] | None:
    """The kind and the final name of a path made by `temporary_path`; None for any other path."""
    match = _TEMPORARY.fullmatch(path.name)
    return (match["kind"], match["name"]) if match else None


@contextmanager
def translate_disk_errors(path: Path, needed_bytes: int) -> Iterator[None]:
    """Turn an error of the operating system while writing `path` into one with the bytes needed and free."""
    try:
        yield
    except OSError as error:
        parts = [split[1] if (split := split_temporary(Path(part))) else part for part in path.parts]
        reason = error.strerror or str(error)
        raise ResourceError(
            f"{Path(*parts)}: cannot be written: {reason}; {needed_bytes} bytes needed, {_free(path)} bytes free"
        ) from error


def fault_point(name: str) -> None:
    """Do what the environment variable `ARTSCHOOL_FAULT` asks for at this point; nothing when it is not set.

    Only tests set it, to `name[:nth]=action`: at the process's nth passage through that point, or at each.
    Actions: `kill` (SIGKILL of itself), `disk_full`, `io_error`, `raise`, and `sleep[:seconds]` (1 s).

    Raises:
        ValueError: The variable is set to something else.
    """
    armed = os.environ.get("ARTSCHOOL_FAULT")
    if not armed:
        return
    match = _FAULT.fullmatch(armed)
    if not match or match["name"] not in FAULT_POINTS or (match["seconds"] and match["action"] != "sleep"):
        raise ValueError(f"ARTSCHOOL_FAULT={armed!r}: write name[:nth]=action; names: {', '.join(FAULT_POINTS)}")
    if match["name"] == name:
        _passages[armed] += 1
        if match["nth"] is None or int(match["nth"]) == _passages[armed]:
            _fail(name, match["action"], float(match["seconds"] or 1))


def _fail(name: str, action: str, seconds: float) -> None:
    match action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "disk_full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        case "io_error":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        case "raise":
            raise RuntimeError(f"fault point {name}")
        case "sleep":
            time.sleep(seconds)
        case _:
            raise ValueError(f"ARTSCHOOL_FAULT: no action {action!r}; kill, disk_full, io_error, raise, sleep")


def _rename_folder(source: Path, target: Path, aside: Path | None) -> None:
    fault_point("before_rename")
    if aside is not None:
        os.rename(target, aside)  # noqa: PTH104
    # The system's rename would silently replace an empty folder.
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    try:
        if aside is not None:
            fault_point("before_rename")
        os.rename(source, target)  # noqa: PTH104
    except BaseException:
        if aside is not None:
            os.rename(aside, target)  # noqa: PTH104
        raise


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free(path: Path) -> str:
    for folder in path.parents:
        with suppress(OSError):
            return str(shutil.disk_usage(folder).free)
    return "unknown"
