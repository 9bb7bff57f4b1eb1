"""Deletes checkpoints, so that a crash in the middle leaves none that looks complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artschool.errors import ResourceError
from artschool.storage import durable, fault_points
from artschool.storage.checkpoint_folders import foreign


class Deletion:
    """Deletes the folders of checkpoints.

    Attributes:
        warnings: What the disk did not let go, once for each checkpoint. It costs nothing but space.
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._told: set[str] = set()

    def discard(self, path: Path) -> bool:
        """Delete a folder that is not needed any more. False if the disk does not let it go, or `delete` returns it."""
        with self.only_told(path):
            return self.delete(path)
        return False

    def delete(self, path: Path) -> bool:
        """Delete a folder. It is renamed first, so that a partly deleted one is not taken for a checkpoint.

        Returns:
            False if the folder contains other files and was not deleted.

        Raises:
            ResourceError: The disk does not let it go.
        """
        if foreign(path):
            return False
        split = durable.split_temporary(path)
        doomed = durable.temporary_path(path.with_name(split[1]) if split else path, "del")
        durable.move_folder(path, doomed)
        with durable.translate_disk_errors(doomed, 0):
            for file in sorted(doomed.iterdir()):
                fault_points.fault_point("mid_rotate")
                file.unlink()
            doomed.rmdir()
        return True

    @contextmanager
    def only_told(self, path: Path) -> Iterator[None]:
        """If the disk refuses to delete a path in the block, add a warning, unless there was one for it before."""
        try:
            yield
        except ResourceError as error:
            split = durable.split_temporary(path)
            if (name := split[1] if split else path.name) not in self._told:
                self._told.add(name)
                self.warnings.append(f"an old checkpoint could not be deleted, which is tried again: {error}")
