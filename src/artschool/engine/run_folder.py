"""Creates the folder of a run, or checks that it can be created."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from artschool.errors import ResourceError


def create_run_folder(folder: Path) -> list[Path]:
    """Create a folder and its missing parents.

    Returns:
        The folders that were created, deepest first.

    Raises:
        ResourceError: A folder cannot be created.
    """
    try:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ResourceError(
            f"{folder}: cannot create the folder: {reason}. Fix: choose another folder with --run-dir"
        ) from error
    return missing


def check_writable(folder: Path) -> None:
    """Check that a folder can be created. Folders created for the check are removed.

    Raises:
        ResourceError: The folder cannot be created.
    """
    for created in create_run_folder(folder):
        with suppress(OSError):  # Another run may have started in it.
            created.rmdir()
