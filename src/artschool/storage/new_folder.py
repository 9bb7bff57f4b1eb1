"""A folder that a command writes for the user: whole or not at all, and in place of nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artschool.errors import ConfigError
from artschool.paths import exists, is_dir
from artschool.storage.durable import make_folder, move_folder, temporary_path


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Create a folder that appears at `output` when the block ends, or not at all if the block raises.

    Yields:
        A temporary folder, in which the block writes.

    Raises:
        ConfigError: `output` is a file, or a folder that is not empty.
        ResourceError: The disk is full or cannot be written.
    """
    refuse_existing(output)
    output = output.absolute()
    make_folder(output.parent)
    temporary = temporary_path(output, "tmp")
    try:
        make_folder(temporary)
        yield temporary
        if is_dir(output):
            output.rmdir()
        move_folder(temporary, output)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def refuse_existing(output: Path) -> None:
    """Refuse to write where something is already.

    Raises:
        ConfigError: `output` is a file, or a folder that is not empty.
    """
    if is_dir(output) and any(output.iterdir()):
        raise ConfigError(f"{output}: is not empty, and nothing is overwritten. Fix: name another folder")
    if exists(output) and not is_dir(output):
        raise ConfigError(f"{output}: exists, and nothing is overwritten. Fix: name another one")
