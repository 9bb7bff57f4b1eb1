"""Writes files of a checkpoint durably, and returns what its manifest records of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from artschool.storage import durable
from artschool.storage.checkpoint_files import FileRecord, encode_tensors
from artschool.storage.shards import Place, header
from artschool.storage.tensor_file import Content


def write_recorded(path: Path, content: Content) -> FileRecord:
    """Write a new file, of which nothing is left out, and compute its hash on the way."""
    digest = hashlib.sha256()

    def hashed() -> Iterator[tuple[int, memoryview]]:
        for start, piece in content.pieces:
            digest.update(piece)
            yield start, piece

    durable.write_at(path, content.size, hashed())
    return FileRecord(content.size, digest.hexdigest())


def record(path: Path, size: int) -> FileRecord:
    """What the manifest records of a file of `size` bytes that has been written in several turns.

    Raises:
        ResourceError: The disk does not give it back.
    """
    with durable.translate_disk_errors(path, size), path.open("rb") as file:
        return FileRecord(size, hashlib.file_digest(file, "sha256").hexdigest())


def write_parts(
    folder: Path, parts: Mapping[str, Mapping[str, Tensor]], places: Mapping[str, Mapping[str, Place]]
) -> dict[str, FileRecord]:
    """Write parts of tensors into the folder of a checkpoint durably, for the process that commits it.

    Args:
        parts: The parts by file stem and name.
        places: Where each part lies in its tensor.

    Returns:
        The records of the files. A stem without parts has none.

    Raises:
        ResourceError: The disk is full or cannot be written.
        CheckpointError: A value cannot be saved.
    """
    records: dict[str, FileRecord] = {}
    for stem, named in parts.items():
        if named:
            name = f"{stem}.safetensors"
            data = encode_tensors(name, named, header(places[stem]))
            records[name] = write_recorded(folder / name, data)
            durable.sync(folder / name)  # The machine of the process that commits may not be able to.
    return records
