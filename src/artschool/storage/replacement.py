"""Replaces checkpoints, so that a crash at any point leaves the one from before or the new one.

The new one is written into a temporary folder of the kind `tmp`. Once it is complete, the one from before is renamed to
the kind `old`, where it still counts, and the new one to the final name. Only then is the `old` one deleted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from artschool.errors import CheckpointError
from artschool.paths import exists
from artschool.storage import durable
from artschool.storage.checkpoint_folders import CheckpointFolders, foreign
from artschool.storage.deletion import Deletion


class Replacement:
    """Puts folders into the places of checkpoints, and clears away what a crash leaves of that."""

    def __init__(self, folders: CheckpointFolders, deletion: Deletion) -> None:
        self._folders = folders
        self._deletion = deletion

    @contextmanager
    def of(self, number: int) -> Iterator[Path]:
        """A folder that becomes the checkpoint when the block ends; then the checkpoint that it replaces is deleted.

        Raises:
            CheckpointError: Something that is not part of a checkpoint is in the way.
            ResourceError: The disk is full or cannot be written. Nothing is replaced.
        """
        target = self._folders.target(number)
        if os.path.lexists(target) and (entry := foreign(target)):
            raise CheckpointError(
                f"{target}: {entry!r} is in the way and is not part of a checkpoint. Fix: move it elsewhere"
            )
        durable.make_folder(self._folders.folder)
        aside = durable.temporary_path(target, "old") if exists(target) else None
        with durable.committed_folder(target, aside=aside) as temporary:
            yield temporary
        for kind, replaced, path in self._folders.temporaries():
            if kind == "old" and replaced == number:
                self._deletion.discard(path)

    def clean(self, is_intact: Callable[[int], bool]) -> None:
        """Remove temporary folders; put an `old` checkpoint back if its replacement is missing or not intact.

        Args:
            is_intact: Whether the checkpoint of a number is intact at its final name.

        Raises:
            ResourceError: The disk cannot be written.
        """
        for kind, number, path in self._folders.temporaries():
            target = self._folders.target(number)
            if kind == "old" and not os.path.lexists(target):
                durable.move_folder(path, target)
            elif kind != "old" or is_intact(number):
                self._deletion.discard(path)
            elif self._deletion.delete(target):
                durable.move_folder(path, target)
