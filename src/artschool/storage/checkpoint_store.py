"""The checkpoints of a run: saves, verifies, finds and loads them, and decides which are no longer needed.

A checkpoint is a folder such as `00000123`, named after its number of finished iterations. The newest checkpoint is
found by listing the folders; no separate file records it. Other files and folders are never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from artschool.errors import CheckpointError
from artschool.paths import exists, is_file
from artschool.storage import checkpoint_files, durable, fault_points
from artschool.storage.checkpoint_files import (
    Checkpoint,
    Manifest,
    NewerCheckpointError,
    UnreadableCheckpointError,
)
from artschool.storage.checkpoint_folders import CheckpointFolders, folder_name, retry_while_changing
from artschool.storage.deletion import Deletion
from artschool.storage.draft import Draft
from artschool.storage.recorded_files import write_recorded
from artschool.storage.replacement import Replacement

__all__ = ["Checkpoint", "CheckpointStore", "Manifest", "NewerCheckpointError"]


class CheckpointStore:
    """The checkpoints of a run. Only one process may write; it calls `clean` when it starts.

    Args:
        folder: `<run>/checkpoints`. Created by the first save.

    Attributes:
        folders: The folders of the checkpoints.
        deletion: Deletes checkpoints; its `warnings` are for the caller to report and remove.

    Raises:
        CheckpointError: The folder is a link. Checkpoints behind links are never deleted.
    """

    def __init__(self, folder: Path) -> None:
        if folder.is_symlink():
            raise CheckpointError(
                f"{folder}: the folder is a link; checkpoints are not deleted through links. Fix: use the real folder"
            )
        self.folder = folder
        self.folders = CheckpointFolders(folder)
        self.deletion = Deletion()
        self._replacement = Replacement(self.folders, self.deletion)
        self._damaged: set[int] = set()
        self._saved: int | None = None

    @contextmanager
    def draft(self, number: int) -> Iterator[Draft]:
        """A checkpoint that the block writes and finishes. At its end, it is on the disk and survives a power failure.

        A checkpoint of the same number is replaced; the old one stays valid until the new one is complete. If the block
        raises, nothing has changed.

        Args:
            number: Number of finished iterations.

        Raises:
            ResourceError: The disk is full or cannot be written. Earlier checkpoints are unchanged.
            CheckpointError: The folder contains other files.
        """
        with self._replacement.of(number) as temporary:
            yield Draft(number, temporary, self.folders.target(number))
        self._damaged.discard(number)
        self._saved = number

    def amend(self, number: int, changes: Mapping[str, Any]) -> None:
        """Replace some of the values of a checkpoint's state. Its tensors are not written again.

        The checkpoint stays valid until the new state is complete, as in `draft`.

        Args:
            changes: The new values by name.

        Raises:
            CheckpointError: The checkpoint is missing, or a value cannot be saved.
            ResourceError: The disk is full or cannot be written. The checkpoint is unchanged.
        """
        path = self.path(number)
        manifest, state = checkpoint_files.read_state(path)
        with self._replacement.of(number) as temporary:
            for name in manifest.files.keys() - {checkpoint_files.STATE}:
                durable.link_file(path / name, temporary / name)
            content = checkpoint_files.encode_state_file({**state, **changes})
            record = write_recorded(temporary / checkpoint_files.STATE, content)
            records = {**manifest.files, checkpoint_files.STATE: record}
            amended = checkpoint_files.encode_manifest(replace(manifest, files=records))
            durable.write_bytes(temporary / checkpoint_files.MANIFEST, amended)

    def numbers(self) -> list[int]:
        """The numbers of all checkpoints, ascending. Damaged checkpoints are included if they have a manifest."""
        return [number for number, path in self.folders.by_number().items() if exists(path / checkpoint_files.MANIFEST)]

    def all_numbers(self) -> list[int]:
        """The numbers of all folders named like a checkpoint, ascending. Some may have lost their manifest."""
        return [*self.folders.by_number()]

    def renamed(self) -> list[Path]:
        """The folders of checkpoints whose names no run gives, so that they do not count."""
        return [path for path in self.folders.others() if is_file(path / checkpoint_files.MANIFEST)]

    def path(self, number: int) -> Path:
        """The folder of a checkpoint.

        Raises:
            CheckpointError: There is no such checkpoint.
        """
        return self.folders.path(number)

    def verify(self, number: int) -> Manifest:
        """Compare every byte of a checkpoint with its manifest.

        Raises:
            CheckpointError: A file is missing, damaged or not part of a checkpoint.
            NewerCheckpointError: A newer version of the package saved the checkpoint.
        """
        path = self.path(number)
        return _check_number(number, path, checkpoint_files.verify(path))

    def newest_valid(self, report: Callable[[str], None]) -> int | None:
        """The number of the newest intact checkpoint. None: there is no intact checkpoint.

        Args:
            report: Called with a message for each damaged checkpoint that is skipped.

        Raises:
            NewerCheckpointError: A newer version of the package saved the newest intact checkpoint.
            UnreadableCheckpointError: The newest checkpoint that may be intact cannot be read now.
        """
        return retry_while_changing(self.folders.listing, partial(self._newest_valid, report))

    def _newest_valid(self, report: Callable[[str], None]) -> int | None:
        before = self.folders.listing()
        for number, path in reversed(self.folders.by_number().items()):
            try:
                self.verify(number)
            except (NewerCheckpointError, UnreadableCheckpointError):
                raise
            except CheckpointError as error:
                if self.folders.listing().get(path.name) != before.get(path.name):
                    raise  # A training has deleted or replaced it.
                self._damaged.add(number)
                report(f"warning: skipping checkpoint {number}: {error}")
            else:
                return number
        return None

    def load(self, number: int, *, mapped: bool = False) -> Checkpoint:
        """Verify a checkpoint, then load it. Raises what `verify` raises.

        Args:
            mapped: Whether values are read from the disk when they are used, and not now.
        """
        checkpoint = checkpoint_files.load(self.path(number), mapped=mapped)
        _check_number(number, checkpoint.path, checkpoint.manifest)
        return checkpoint

    def rotate(self, keep: Collection[int], *, keep_last: int | None) -> list[int]:
        """Delete the checkpoints that are older than the newest `keep_last`, except those in `keep`.

        The checkpoint that this store saved last is never deleted, and neither is the newest one without NaN or
        infinity. Checkpoints known to be damaged do not count among the newest. A folder that contains other files is
        not deleted.

        Args:
            keep: Numbers of checkpoints to keep.
            keep_last: At least 1. None: delete none.

        Returns:
            The numbers of the deleted checkpoints, ascending. What the disk does not let go is in `deletion.warnings`.
        """
        if keep_last is not None and keep_last < 1:
            raise ValueError(f"keep_last: expected at least 1, got {keep_last}")
        with self.deletion.only_told(self.folder), durable.translate_disk_errors(self.folder, 0):
            fault_points.fault_point("before_rotate")
        for kind, _, path in self.folders.temporaries():
            if kind == "del":
                self.deletion.discard(path)
        if keep_last is None:
            return []
        numbers, folders = self.numbers(), self.folders.by_number()
        newest = [number for number in numbers if number not in self._damaged][-keep_last:]
        kept = {*newest, *keep, self._saved, self._newest_sound(numbers)}
        old = [number for number in numbers if newest and number < newest[0] and number not in kept]
        return [number for number in old if self.deletion.discard(folders[number])]

    def thin_out(self, stem: str, keep: Collection[int]) -> list[int]:
        """Delete the tensors of a file stem from all but the newest checkpoint and those in `keep`.

        As in `rotate`, the checkpoint that was saved last and the newest one without NaN or infinity stay whole.

        Returns:
            The numbers of the changed checkpoints, ascending. What the disk does not let go is in `deletion.warnings`.
        """
        numbers = self.numbers()
        whole = {*numbers[-1:], *keep, self._saved, self._newest_sound(numbers), *self._damaged}
        return [number for number in numbers if number not in whole and self._without(number, stem)]

    def _without(self, number: int, stem: str) -> bool:
        """Replace a checkpoint by one without the files of a stem. False if it has none."""
        path = self.path(number)
        with self.deletion.only_told(path), suppress(CheckpointError):
            manifest = checkpoint_files.read_manifest(path)
            kept = {name: record for name, record in manifest.files.items() if not name.startswith(f"{stem}.")}
            if len(kept) == len(manifest.files):
                return False
            with self._replacement.of(number) as temporary:
                for name in kept:
                    durable.link_file(path / name, temporary / name)
                rest = checkpoint_files.encode_manifest(replace(manifest, files=kept))
                durable.write_bytes(temporary / checkpoint_files.MANIFEST, rest)
            return True
        return False

    def _newest_sound(self, numbers: Sequence[int]) -> int | None:
        """The newest checkpoint that contains no NaN and no infinity, as far as its manifest can be read."""
        for number in reversed(numbers):
            if number not in self._damaged:
                with suppress(CheckpointError):
                    if not checkpoint_files.read_manifest(self.path(number)).non_finite:
                        return number
        return None

    def clean(self) -> None:
        """Remove temporary folders of interrupted saves; restore a checkpoint whose replacement is incomplete.

        Raises:
            ResourceError: The disk cannot be written.
        """
        self._replacement.clean(self._is_intact)

    def _is_intact(self, number: int) -> bool:
        """Whether the checkpoint at its final path is intact. One of a newer version is."""
        try:
            return self.path(number) == self.folders.target(number) and bool(self.verify(number))
        except NewerCheckpointError:
            return True
        except UnreadableCheckpointError:
            raise
        except CheckpointError:
            return False


def _check_number(number: int, path: Path, manifest: Manifest) -> Manifest:
    if manifest.iteration != number:
        raise CheckpointError(
            f"{path}: contains the checkpoint {folder_name(manifest.iteration)}. Fix: rename the folder"
        )
    return manifest
