"""Durable writes: a file or folder appears either complete or not at all, and survives a power failure.

Data is written under a temporary name in the same folder (`.tmp-<name>-<random>`), synced and renamed. Then the parent
folder is synced, because a power failure could otherwise undo the rename.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from artschool.errors import ResourceError
from artschool.paths import exists, is_dir
from artschool.storage import fault_points

_PROBE = "probe"
ADVICE = {
    errno.EACCES: "ask its owner for access, or choose another folder",
    errno.EPERM: "ask its owner for access, or choose another folder",
    errno.EFBIG: "raise the limit of the size of files (`ulimit -f`)",
    errno.EDQUOT: "delete files, or have the quota of this user raised",
    errno.EROFS: "mount the file system so that it can be written, or choose another folder with --run-dir",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""Fixes for errors of the system that free space does not explain."""

_ABOUT_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TEMPORARY = re.compile(r"\.(?P<kind>tmp|old|del)-(?P<name>.+)-[0-9a-f]{8}")


def write_file(path: Path, data: bytes) -> None:
    """Write or replace a file. If the process or the power fails, the file has either its old or its new content.

    Raises:
        ResourceError: The disk is full or cannot be written. The old content is unchanged.
    """
    with committed_file(path) as temporary:
        write_bytes(temporary, data)


@contextmanager
def committed_file(path: Path) -> Iterator[Path]:
    """Write or replace a file that appears at `path` when the block ends, or not at all if the block raises.

    Yields:
        A temporary path in the same folder, to which the block writes the file.

    Raises:
        ResourceError: The disk is full or cannot be written. The old content is unchanged.
    """
    temporary = temporary_path(path, "tmp")
    try:
        yield temporary
        with translate_disk_errors(path, 0):
            size = temporary.stat().st_size
        with translate_disk_errors(path, size):
            fault_points.fault_point("before_fsync")
            _sync(temporary)
            fault_points.fault_point("before_rename")
            os.replace(temporary, path)  # noqa: PTH105  the tests record the calls of `os`
            fault_points.fault_point("after_rename")
            _sync(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def own_file(path: Path) -> None:
    """Replace a file that has several names, as in a copy by `cp -al`, by one of its own, so that it can be changed.

    Raises:
        ResourceError: The disk is full or cannot be written. Nothing is changed.
    """
    with translate_disk_errors(path, 0), suppress(FileNotFoundError):
        if path.stat().st_nlink > 1:
            with committed_file(path) as temporary:
                shutil.copyfile(path, temporary)


@contextmanager
def committed_folder(target: Path, *, aside: Path | None = None) -> Iterator[Path]:
    """Create a folder that appears at `target` when the block ends, or not at all if the block raises.

    Args:
        target: Path of the new folder. It must not exist, unless `aside` is given.
        aside: Path to which an existing `target` is moved before the new folder is renamed to `target`. If the process
            dies between the two renames, the old folder is complete at `aside`. The caller deletes it.

    Yields:
        A temporary folder for files, written with `write_bytes`. They are synced at the end. No subfolders.

    Raises:
        ResourceError: The disk is full or cannot be written, or `target` exists. The temporary folder is removed.
    """
    temporary = temporary_path(target, "tmp")
    try:
        with translate_disk_errors(target, 0):
            temporary.mkdir()
        yield temporary
        with translate_disk_errors(target, 0):
            files = sorted(temporary.iterdir())
            size = sum(file.stat().st_size for file in files)
        with translate_disk_errors(target, size):
            fault_points.fault_point("before_fsync")
            for file in files:
                _sync(file)
            _sync(temporary)
            _rename_folder(temporary, target, aside)
            fault_points.fault_point("after_rename")
            _sync(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a new file in a `committed_folder`, which makes it durable. Elsewhere, use `write_file`.

    Raises:
        ResourceError: The disk is full or cannot be written, or the file exists.
    """
    write_pieces(path, len(data), [data])


def write_pieces(path: Path, size: int, pieces: Iterable[bytes]) -> None:
    """Write a new file of `size` bytes, one piece after the other, as `write_bytes` does."""

    def placed() -> Iterator[tuple[int, bytes]]:
        start = 0
        for piece in pieces:
            yield start, piece
            start += len(piece)

    write_at(path, size, placed())


def write_at(path: Path, size: int, pieces: Iterable[tuple[int, bytes | memoryview]], *, is_new: bool = True) -> None:
    """Write pieces of a file of `size` bytes, as `write_bytes` does.

    Args:
        pieces: Where each piece begins, and its bytes.
        is_new: Whether the file is new. Otherwise, it keeps what is not in the pieces.
    """
    with translate_disk_errors(path, size):
        fault_points.fault_point("before_write")
        with path.open("xb" if is_new else "r+b") as file:
            for start, piece in pieces:
                file.seek(start)
                file.write(piece)
            file.truncate(size)  # The last piece may be for later.
        fault_points.fault_point("after_write")


def sync(path: Path) -> None:
    """Wait until the content of a file is on the disk.

    Raises:
        ResourceError: The disk cannot be written.
    """
    with translate_disk_errors(path, 0):
        _sync(path)


def link_file(path: Path, target: Path) -> None:
    """Give a file a second name in a `committed_folder`. Where links are not supported, copy it.

    Raises:
        ResourceError: The disk is full or cannot be written.
    """
    with translate_disk_errors(target, 0):
        try:
            target.hardlink_to(path)
        except OSError:
            shutil.copyfile(path, target)


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents durably.

    Raises:
        ResourceError: The disk is full or cannot be written.
    """
    if is_dir(path):
        return
    if not exists(path.parent):
        make_folder(path.parent)
    with translate_disk_errors(path, 0):
        path.mkdir(exist_ok=True)
        _sync(path.parent)


def check_file_system(folder: Path) -> None:
    """Check that files and folders in a folder can be created, synced and renamed, as everything here needs.

    Raises:
        ResourceError: The file system, or what mounts it, cannot do this.
    """
    probe, target = (temporary_path(folder / _PROBE, "tmp") for _ in range(2))
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        ("create a folder", probe.mkdir),
        ("write a file", lambda: (probe / "old").write_bytes(b"old")),
        ("sync a file", lambda: _sync(probe / "old")),
        ("write a file", lambda: (probe / "new").write_bytes(b"new")),
        ("rename a file to one that exists", lambda: os.replace(probe / "new", probe / "old")),  # noqa: PTH105
        ("sync a folder", lambda: _sync(probe)),
        ("rename a folder", lambda: os.rename(probe, target)),  # noqa: PTH104
        ("delete a file", (target / "old").unlink),
        ("delete a folder", target.rmdir),
    )
    try:
        for what, step in steps:
            try:
                step()
            except OSError as error:
                advice = (
                    "Checkpoints could not be kept safe. Fix: choose a folder on another file system with --run-dir"
                )
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    advice = "Fix: delete files, such as old checkpoints, or choose another folder with --run-dir"
                elif error.errno in (errno.EACCES, errno.EROFS):
                    advice = f"Fix: {ADVICE[error.errno]}"
                raise ResourceError(f"{folder}: cannot {what} there: {error.strerror or error}. {advice}") from error
    finally:
        for path in (probe, target):
            shutil.rmtree(path, ignore_errors=True)


def move_folder(path: Path, target: Path) -> None:
    """Rename a folder within its parent folder durably.

    Raises:
        ResourceError: The disk cannot be written, or `target` exists.
    """
    with translate_disk_errors(target, 0):
        _rename_folder(path, target, None)
        _sync(target.parent)


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove what interrupted calls of `write_file` and `check_file_system` have left in a folder.

    No other process may write to the folder at the same time. Links and other folders are not removed.

    Returns:
        The removed files and folders.
    """
    removed = []
    for path in sorted(folder.iterdir()):
        kind, name = split_temporary(path) or ("", "")
        mode = path.lstat().st_mode
        if kind == "tmp" and stat.S_ISREG(mode):
            path.unlink()
        elif (kind, name) == ("tmp", _PROBE) and stat.S_ISDIR(mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            continue
        removed.append(path)
    return removed


def temporary_path(path: Path, kind: str) -> Path:
    """A new temporary name in the folder of `path`. Kinds: `tmp` being written, `old` replaced, `del` being deleted."""
    return path.with_name(f".{kind}-{path.name}-{secrets.token_hex(4)}")


def split_temporary(path: Path) -> tuple[str, str] | None:
    """The kind and the final name of a path made by `temporary_path`. None: any other path."""
    match = _TEMPORARY.fullmatch(path.name)
    return (match["kind"], match["name"]) if match else None


@contextmanager
def translate_disk_errors(path: Path, needed_bytes: int) -> Iterator[None]:
    """Turn an OSError while writing `path` into a ResourceError. One about room states the bytes needed and free."""
    try:
        yield
    except OSError as error:
        parts = [split[1] if (split := split_temporary(Path(part))) else part for part in path.parts]
        reason = error.strerror or str(error)
        room = _room(needed_bytes, path) if error.errno in _ABOUT_ROOM else ""
        raise ResourceError(f"{Path(*parts)}: cannot write: {reason}{room}{_advice(error.errno, path)}") from error


def _rename_folder(source: Path, target: Path, aside: Path | None) -> None:
    fault_points.fault_point("before_rename")
    if aside is not None:
        _rename(target, aside)
    # os.rename would silently replace an empty folder.
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    try:
        if aside is not None:
            fault_points.fault_point("before_rename")
        _rename(source, target)
    except BaseException:
        if aside is not None:
            os.rename(aside, target)  # noqa: PTH104
        raise


def _rename(source: Path, target: Path) -> None:
    """Rename a folder. In a container, one of the image can only be copied, and what is left of it deleted."""
    try:
        os.rename(source, target)  # noqa: PTH104
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with committed_folder(target) as copy:
            for file in source.iterdir():
                shutil.copyfile(file, copy / file.name)
        shutil.rmtree(source)


def _sync(path: Path) -> None:
    """Wait until the content of a file, or the entries of a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _room(needed_bytes: int, path: Path) -> str:
    needed = f"{needed_bytes} bytes needed, " if needed_bytes else ""
    return f" ({needed}{_free_bytes(path)} bytes free)"


def _free_bytes(path: Path) -> str:
    for folder in path.parents:
        with suppress(OSError):
            return str(shutil.disk_usage(folder).free)
    return "unknown"


def _advice(number: int | None, path: Path) -> str:
    """What to do about an error that free bytes do not explain. Empty: nothing to add."""
    if number == errno.ENOSPC:
        with suppress(OSError, StopIteration):
            disk = os.statvfs(next(folder for folder in path.absolute().parents if exists(folder)))
            if disk.f_files and not disk.f_favail:
                return ". Fix: delete files: the disk has no inode left for a new one"
    if number == errno.ENOTDIR:
        with suppress(OSError, StopIteration):
            there = next(part for part in path.absolute().parents if exists(part))
            return f". {there} is not a folder. Fix: choose another one, or move it away"
    return f". Fix: {ADVICE[number]}" if number in ADVICE else ""
