"""The folder of a run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from artschool.errors import ResourceError


def create_run_folder(folder: Path) -> list[Path]:
    """Make a folder and those above it.

    Returns:
        Those that were not there, the deepest first.

    Raises:
        ResourceError: It cannot be made; the text says why, and the way out.
    """
    try:
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ResourceError(f"{folder}: cannot be made: {reason}; --run-dir names another folder") from error
    return missing


def check_writable(folder: Path) -> None:
    """Make a folder to see that it can be, and leave nothing of it.

    Raises:
        ResourceError: It cannot.
    """
    for made in create_run_folder(folder):
        with suppress(OSError):  # Another run may have begun in it meanwhile.
            made.rmdir()
