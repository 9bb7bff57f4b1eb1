"""The folders of checkpoints, found by listing: the complete ones, and those that are being replaced or deleted."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from artschool.errors import CheckpointError
from artschool.storage.checkpoint_files import foreign_entry
from artschool.storage.durable import split_temporary

Result = TypeVar("Result")
MAX_RETRIES = 20
"""Of work that fails since a training deletes what it reads."""


class CheckpointFolders:
    """The checkpoints in a folder, by number. Links do not count."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def target(self, number: int) -> Path:
        """The folder of a checkpoint once it is complete."""
        if number < 0:
            raise ValueError(f"the number of a checkpoint cannot be negative, got {number}")
        return self.folder / folder_name(number)

    def path(self, number: int) -> Path:
        """The folder of a checkpoint.

        Raises:
            CheckpointError: There is no such checkpoint.
        """
        folders = self.by_number()
        if number not in folders:
            known = ", ".join(map(str, folders)) or "none"
            raise CheckpointError(f"{self.target(number)}: checkpoint does not exist. Available checkpoints: {known}")
        return folders[number]

    def by_number(self) -> dict[int, Path]:
        """Number to folder, ascending. A replaced checkpoint counts until its replacement is complete."""
        found = {number: path for kind, number, path in self.temporaries() if kind == "old"}
        for path in self._entries():
            if (number := _number_in(path.name)) is not None:
                found[number] = path
        return dict(sorted(found.items()))

    def temporaries(self) -> list[tuple[str, int, Path]]:
        """Kind, number and path of the temporary folders of checkpoints."""
        found = []
        for path in self._entries():
            split = split_temporary(path)
            if split and (number := _number_in(split[1])) is not None:
                found.append((split[0], number, path))
        return found

    def others(self) -> list[Path]:
        """The folders with other names, such as that of a checkpoint that was renamed."""
        ours = {*self.by_number().values(), *(path for _, _, path in self.temporaries())}
        return [path for path in self._entries() if path not in ours]

    def listing(self) -> dict[str, int]:
        """The names in the folder with their inodes, by which a checkpoint differs from one that takes its place."""
        try:
            with os.scandir(self.folder) as entries:
                return {entry.name: entry.inode() for entry in entries}
        except OSError:
            return {}

    def _entries(self) -> list[Path]:
        """All folders in the store, without links."""
        with suppress(FileNotFoundError, NotADirectoryError):  # The run folder may go at any moment.
            return sorted(path for path in self.folder.iterdir() if _is_folder(path))
        return []


def retry_while_changing(listing: Callable[[], object], work: Callable[[], Result]) -> Result:
    """Do work that reads checkpoints. If it fails while a training saves and deletes some, do it again.

    Args:
        listing: Returns `CheckpointFolders.listing()`, the same in all processes that do the work.
    """
    for _ in range(MAX_RETRIES):
        before = listing()
        try:
            return work()
        except CheckpointError:
            if listing() == before:
                raise
    return work()


def foreign(path: Path) -> str | None:
    """The name of an entry that is not a file of a checkpoint, or of the path if it is not a folder. None: neither."""
    return foreign_entry(path) if _is_folder(path) else path.name


def _is_folder(path: Path) -> bool:
    with suppress(FileNotFoundError):  # Another process has just deleted it.
        return stat.S_ISDIR(path.lstat().st_mode)
    return False


def folder_name(number: int) -> str:
    """The name of the folder of a checkpoint."""
    return f"{number:08d}"


def _number_in(name: str) -> int | None:
    """The number in the name of a folder. None: no checkpoint has such a name."""
    return int(name) if name.isascii() and name.isdigit() and folder_name(int(name)) == name else None
