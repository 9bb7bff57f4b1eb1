"""The folder of a run's checkpoints: save, verify, find the newest, load, rotate.

A checkpoint is a folder `00000123`, named after its number of finished iterations. Which one is the newest is
found by looking: there is no pointer to it that could be wrong. What is no checkpoint is never touched.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from artschool.errors import CheckpointError
from artschool.storage import checkpoint_files, durable
from artschool.storage.checkpoint_files import Checkpoint, FileRecord, Manifest, NewerCheckpointError

__all__ = ["Checkpoint", "CheckpointStore", "Manifest", "NewerCheckpointError"]


class CheckpointStore:
    """The checkpoints of one run. One process writes, and calls `clean` when it starts.

    Args:
        folder: `<run>/checkpoints`; made at the first save.

    Raises:
        CheckpointError: The folder is a link: nothing is deleted through one.
    """

    def __init__(self, folder: Path) -> None:
        if folder.is_symlink():
            raise CheckpointError(f"{folder}: is a link, and nothing is deleted through links; name the real folder")
        self.folder = folder
        self._damaged: set[int] = set()
        self._saved: int | None = None

    def save(
        self,
        number: int,
        tensors: Mapping[str, Mapping[str, Tensor]],
        state: Mapping[str, Any],
        *,
        config_hash: str,
        world_size: int,
    ) -> Path:
        """Write a checkpoint. When this returns, it is on the disk and survives a loss of power.

        A checkpoint of the same number is replaced. Until the new one is in its place, the old one is found.

        Args:
            number: Finished iterations.
            tensors: File stem to named tensors on any device. Strides and shared memory are not kept.
            state: What JSON holds, and nan and infinities. Tuples come back as lists.
            config_hash: Hash of the resolved config.
            world_size: Number of ranks.

        Returns:
            The checkpoint's folder.

        Raises:
            ResourceError: The disk is full or refuses. What was there before is intact.
            CheckpointError: A value cannot be stored, or something that is no checkpoint is in the way.
        """
        target = self._target(number)
        if os.path.lexists(target) and (foreign := _foreign(target)):
            raise CheckpointError(f"{target}: {foreign!r} is in the way and is no part of a checkpoint; move it")
        durable.make_folder(self.folder)
        aside = durable.temporary_path(target, "old") if target.exists() else None
        with durable.committed_folder(target, aside=aside) as temporary:
            records: dict[str, FileRecord] = {}
            for name, data in checkpoint_files.encode_files(tensors, state):
                records[name] = FileRecord(len(data), hashlib.sha256(data).hexdigest())
                durable.write_bytes(temporary / name, data)
            with durable.translate_disk_errors(target, 0):
                durable.fault_point("before_manifest")
            manifest = _describe(number, records, config_hash, world_size)
            durable.write_bytes(temporary / checkpoint_files.MANIFEST, checkpoint_files.encode_manifest(manifest))
        self._damaged.discard(number)
        self._saved = number
        self._delete_replaced(number)
        return target

    def numbers(self) -> list[int]:
        """The numbers of the committed checkpoints, ascending: folders with a manifest, damaged or not."""
        return [number for number, path in self._folders().items() if (path / checkpoint_files.MANIFEST).exists()]

    def verify(self, number: int) -> Manifest:
        """Compare every byte of a checkpoint with its manifest.

        Raises:
            CheckpointError: Names the file and what is wrong with it.
            NewerCheckpointError: Says which version of the package is needed.
        """
        path = self._path(number)
        return _expect(number, path, checkpoint_files.verify(path))

    def newest_valid(self, report: Callable[[str], None]) -> int | None:
        """The highest number whose checkpoint verifies; None when there is none.

        Args:
            report: Told about each damaged checkpoint that is passed over: the file and the reason.

        Raises:
            NewerCheckpointError: A newer version of the package wrote the newest one that is intact.
        """
        for number in reversed(self._folders()):
            try:
                self.verify(number)
            except NewerCheckpointError:
                raise
            except CheckpointError as error:
                self._damaged.add(number)
                report(str(error))
            else:
                return number
        return None

    def load(self, number: int) -> Checkpoint:
        """Verify a checkpoint, then load it. Raises what `verify` raises."""
        checkpoint = checkpoint_files.load(self._path(number))
        _expect(number, checkpoint.path, checkpoint.manifest)
        return checkpoint

    @staticmethod
    def load_path(path: Path) -> Checkpoint:
        """Verify and load the checkpoint in any folder, whatever its name. Raises what `verify` raises."""
        return checkpoint_files.load(path)

    def rotate(self, keep: Collection[int], *, keep_last: int) -> list[int]:
        """Delete the checkpoints that are older than the newest `keep_last`, except those in `keep`.

        The one that this store saved last is never deleted, and those it found damaged do not count among the
        newest. A folder with anything in it that is no part of a checkpoint is left alone.

        Args:
            keep: Numbers that stay.
            keep_last: At least 1.

        Returns:
            The numbers deleted, ascending.

        Raises:
            ResourceError: The disk refuses.
        """
        if keep_last < 1:
            raise ValueError(f"keep_last is {keep_last}; at least one checkpoint stays")
        with durable.translate_disk_errors(self.folder, 0):
            durable.fault_point("before_rotate")
        numbers, folders = self.numbers(), self._folders()
        newest = [number for number in numbers if number not in self._damaged][-keep_last:]
        kept = {*newest, *keep, self._saved}
        old = [number for number in numbers if newest and number < newest[0] and number not in kept]
        return [number for number in old if self._delete(folders[number])]

    def clean(self) -> None:
        """Remove what crashes left behind; put back a checkpoint that was set aside for one that never came.

        Raises:
            ResourceError: The disk refuses.
        """
        for kind, number, path in self._temporaries():
            target = self._target(number)
            if kind == "old" and not os.path.lexists(target):
                durable.move_folder(path, target)
            elif kind != "old" or self._is_replaced(number):
                self._delete(path)
            elif self._delete(target):
                durable.move_folder(path, target)

    def _delete_replaced(self, number: int) -> None:
        for kind, replaced, path in self._temporaries():
            if kind == "old" and replaced == number:
                self._delete(path)

    def _is_replaced(self, number: int) -> bool:
        """Whether the checkpoint in its final place is good, so that one set aside is not needed any more."""
        try:
            return self._path(number) == self._target(number) and bool(self.verify(number))
        except NewerCheckpointError:
            return True
        except CheckpointError:
            return False

    def _target(self, number: int) -> Path:
        if number < 0:
            raise ValueError(f"a checkpoint's number counts finished iterations; {number} is negative")
        return self.folder / _folder_name(number)

    def _path(self, number: int) -> Path:
        folders = self._folders()
        if number not in folders:
            known = ", ".join(map(str, folders)) or "none"
            raise CheckpointError(f"{self._target(number)}: there is no such checkpoint; there are: {known}")
        return folders[number]

    def _folders(self) -> dict[int, Path]:
        """Number to folder, ascending. One that was set aside counts as long as none has taken its place."""
        found = {number: path for kind, number, path in self._temporaries() if kind == "old"}
        for path in self._entries():
            if (number := _parse(path.name)) is not None:
                found[number] = path
        return dict(sorted(found.items()))

    def _temporaries(self) -> list[tuple[str, int, Path]]:
        """Kind, number and path of our temporary folders."""
        found = []
        for path in self._entries():
            split = durable.split_temporary(path)
            if split and (number := _parse(split[1])) is not None:
                found.append((split[0], number, path))
        return found

    def _entries(self) -> list[Path]:
        """All real folders here, no links."""
        return sorted(path for path in self.folder.iterdir() if _is_folder(path)) if self.folder.exists() else []

    def _delete(self, path: Path) -> bool:
        """Delete a checkpoint, renamed first: half of one must not look like one. False: it is foreign."""
        if _foreign(path):
            return False
        split = durable.split_temporary(path)
        doomed = durable.temporary_path(path.with_name(split[1]) if split else path, "del")
        durable.move_folder(path, doomed)
        with durable.translate_disk_errors(doomed, 0):
            for file in sorted(doomed.iterdir()):
                durable.fault_point("mid_rotate")
                file.unlink()
            doomed.rmdir()
        return True


def _describe(number: int, files: dict[str, FileRecord], config_hash: str, world_size: int) -> Manifest:
    versions = {
        "artschool": version("artschool"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    return Manifest(
        schema=checkpoint_files.SCHEMA,
        iteration=number,
        world_size=world_size,
        config_hash=config_hash,
        versions={name: str(text) for name, text in versions.items()},
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        files=files,
    )


def _expect(number: int, path: Path, manifest: Manifest) -> Manifest:
    if manifest.iteration != number:
        raise CheckpointError(f"{path}: is the checkpoint of iteration {manifest.iteration} under another name")
    return manifest


def _foreign(path: Path) -> str | None:
    """The name of what makes a path something else than a checkpoint or part of one. None: nothing does."""
    return checkpoint_files.foreign_entry(path) if _is_folder(path) else path.name


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def _folder_name(number: int) -> str:
    return f"{number:08d}"


def _parse(name: str) -> int | None:
    """The number of a folder's name; None unless it is written exactly as `save` writes it."""
    return int(name) if name.isascii() and name.isdigit() and _folder_name(int(name)) == name else None
