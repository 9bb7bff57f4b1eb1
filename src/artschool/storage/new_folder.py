"""A folder that a command writes for the user: whole or not at all, and in place of nothing."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from artschool.errors import ConfigError
from artschool.paths import exists, is_dir
from artschool.storage.durable import make_folder, move_folder, split_temporary, temporary_path


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Create a folder that appears at `output` when the block ends, or not at all if the block raises.

    What a killed process has left of the same folder is removed. The system locks a temporary folder as long as its
    process lives.

    Yields:
        A temporary folder, in which the block writes.

    Raises:
        ConfigError: `output` is a file, or a folder that is not empty.
        ResourceError: The disk is full or cannot be written.
    """
    refuse_existing(output)
    output = output.absolute()
    make_folder(output.parent)
    _remove_left(output)
    temporary, lock = _locked_folder(output)
    try:
        yield temporary
        if is_dir(output):
            output.rmdir()
        move_folder(temporary, output)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def refuse_existing(output: Path) -> None:
    """Refuse to write where something is already.

    Raises:
        ConfigError: `output` is a file, or a folder that is not empty.
    """
    if is_dir(output) and any(output.iterdir()):
        raise ConfigError(f"{output}: is not empty, and nothing is overwritten. Fix: name another folder")
    if exists(output) and not is_dir(output):
        raise ConfigError(f"{output}: exists, and nothing is overwritten. Fix: name another one")


def _locked_folder(output: Path) -> tuple[Path, int]:
    """A new temporary folder for `output`, and the descriptor by which this process locks it."""
    while True:
        temporary = temporary_path(output, "tmp")
        make_folder(temporary)
        with suppress(FileNotFoundError):  # Another process may take it for one that is left, at any of these lines.
            lock = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY)
            if not _is_locked_by_other(lock) and is_dir(temporary):
                return temporary, lock
            os.close(lock)


def _is_locked_by_other(folder: int) -> bool:
    """Lock a folder for this process, unless another one has locked it. Not every file system locks folders."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _remove_left(output: Path) -> None:
    """Remove the temporary folders for `output` whose processes have been killed. No link is followed."""
    with suppress(OSError):  # A folder that can be written need not be readable.
        for path in [each for each in output.parent.iterdir() if split_temporary(each) == ("tmp", output.name)]:
            with suppress(OSError):  # It is locked, or of another user.
                lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
                finally:
                    os.close(lock)
