"""A checkpoint that is being written: its files, whether at once or with a pause, and their records."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from artschool.release import versions
from artschool.storage import checkpoint_files, durable, fault_points
from artschool.storage.checkpoint_files import STATE, FileRecord, Manifest
from artschool.storage.recorded_files import record, write_recorded
from artschool.storage.tensor_file import Content

TensorFiles = Mapping[str, Mapping[str, Tensor]]


class Draft:
    """The files of a checkpoint in a temporary folder. See `CheckpointStore.draft`.

    Args:
        target: The folder that it will be.

    Attributes:
        number: Number of finished iterations.
        folder: The temporary folder.
        records: What the manifest records of the files that are complete.
    """

    def __init__(self, number: int, folder: Path, target: Path) -> None:
        self.number = number
        self.folder = folder
        self._target = target
        self.records: dict[str, FileRecord] = {}
        self._rest: dict[str, Content] = {}

    def begin(self, tensors: TensorFiles, now: Mapping[str, Collection[str]]) -> None:
        """Write some tensors, which may change from now on: the files are the copy, so that none is needed in memory.

        They are not hashed and need not be on the disk yet, since training waits for this.

        Args:
            tensors: Named tensors by file stem, on any device. Strides and shared memory are not preserved.
            now: The names of those to write, by file stem. `write` writes the others of these files.

        Raises:
            ResourceError: The disk is full or cannot be written.
            CheckpointError: A value cannot be saved.
        """
        for stem, named in tensors.items():
            file = checkpoint_files.file_of(stem)
            self._rest[file] = checkpoint_files.encode_tensors(file, named, left_out=now[stem])
            content = checkpoint_files.encode_tensors(file, named, left_out=named.keys() - now[stem])
            durable.write_at(self.folder / file, content.size, content.pieces)

    def write(self, tensors: TensorFiles, state: Mapping[str, Any]) -> None:
        """Write everything that `begin` has not written. Raises what `begin` raises.

        Args:
            tensors: As for `begin`.
            state: Values that JSON can represent, and NaN and infinities. Tuples are loaded as lists.
        """
        self.records[STATE] = write_recorded(self.folder / STATE, checkpoint_files.encode_state_file(state))
        for stem, named in tensors.items():
            file = checkpoint_files.file_of(stem)
            if (rest := self._rest.get(file)) is None:
                content = checkpoint_files.encode_tensors(file, named)
                self.records[file] = write_recorded(self.folder / file, content)
            else:
                durable.write_at(self.folder / file, rest.size, rest.pieces, is_new=False)
                self.records[file] = record(self.folder / file, rest.size)

    def finish(self, *, config_hash: str, world_size: int, non_finite: str = "") -> None:
        """Write the manifest, after which there is no other file.

        Args:
            config_hash: Hash of the resolved config.
            world_size: Number of processes.
            non_finite: What contains NaN or infinity. Empty: nothing does.
        """
        with durable.translate_disk_errors(self._target, 0):
            fault_points.fault_point("before_manifest")
        manifest = Manifest(
            schema=checkpoint_files.SCHEMA,
            iteration=self.number,
            world_size=world_size,
            config_hash=config_hash,
            versions=versions(),
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            files=self.records,
            non_finite=non_finite,
        )
        durable.write_bytes(self.folder / checkpoint_files.MANIFEST, checkpoint_files.encode_manifest(manifest))
