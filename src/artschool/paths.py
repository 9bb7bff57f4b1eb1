"""What a path leads to, and what is in it, for files that anything may stand in place of.

The methods `exists`, `is_file` and `is_dir` of `Path` hide errors from Python 3.14 on: a folder that is closed to this
user seems to be empty. The functions of these names raise PermissionError there, with every version.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP)


def exists(path: Path) -> bool:
    """Whether a path leads to anything.

    Raises:
        OSError: Nobody knows: a folder is closed, a name is too long, or the disk fails.
    """
    return _mode(path) is not None


def is_file(path: Path) -> bool:
    """Whether a path leads to a file. Raises what `exists` raises."""
    mode = _mode(path)
    return mode is not None and stat.S_ISREG(mode)


def is_dir(path: Path) -> bool:
    """Whether a path leads to a folder. Raises what `exists` raises."""
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def explained_relative(path: Path) -> str:
    """The end of a message about a path that does not exist: what a relative one is relative to."""
    return "" if path.is_absolute() else f" (a path is relative to the working directory, {Path.cwd()})"


def open_file(path: Path) -> BufferedReader:
    """Open a file to read its bytes.

    Raises:
        OSError: It cannot be read, or is no file: a pipe in its place would be waited for without an end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL, "not a regular file", str(path))
    return open(descriptor, "rb")  # noqa: PTH123  # a descriptor


def read_file(path: Path) -> bytes:
    """The content of a file. Raises what `open_file` raises."""
    with open_file(path) as file:
        return file.read()


def _mode(path: Path) -> int | None:
    """The kind and the permissions of what a path leads to. None: nothing is there."""
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return None
        raise
    except ValueError:  # A zero byte in the name.
        return None
