"""The files of a checkpoint: encodes, decodes and verifies them.

`<stem>.safetensors` contain tensors and `state.json` all other state. `manifest.json` has the size and SHA-256 of each
file, and a hash of itself. Every byte is verified before anything is loaded. No file contains code.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from torch import Tensor, strided

from artschool.errors import CheckpointError
from artschool.paths import is_dir
from artschool.storage.shards import Saved, Shards, join, read_tensors, stem_of
from artschool.storage.state_json import decode_state, encode_state
from artschool.storage.tensor_file import Content, encode

SCHEMA = 3
MANIFEST, STATE = "manifest.json", "state.json"
_SUFFIX = ".safetensors"
_OWN_FILE = re.compile(r"manifest\.json|state\.json|\w[\w.-]*\.safetensors", re.ASCII)
DAMAGE = (errno.EIO, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO)
"""Errors of the system by which a file is lost: a bad block, or something else in its place."""
MAX_JSON = 1 << 28
"""The largest `state.json` or `manifest.json` that is read, in bytes."""


@dataclass(frozen=True)
class FileRecord:
    """The manifest's record of a file; `size` is in bytes."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The description of a checkpoint. `iteration` is the number of finished iterations, `time` is UTC.

    `non_finite` names what contains NaN or infinity; empty if nothing does.
    """

    schema: int
    iteration: int
    world_size: int
    config_hash: str
    versions: dict[str, str]
    time: str
    files: dict[str, FileRecord]
    non_finite: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint.

    Attributes:
        number: The number of finished iterations.
        path: Its folder.
        tensors: Whole tensors on the CPU, by file stem and name.
        state: All other state.
        manifest: The description of its files.
        shards: The tensors that are divided among several files, by file stem and name.
    """

    number: int
    path: Path
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]
    manifest: Manifest
    shards: dict[str, dict[str, Shards]] = field(default_factory=dict)

    def saved(self, stem: str) -> dict[str, Saved]:
        """All tensors of a stem."""
        return {**self.tensors.get(stem, {}), **self.shards.get(stem, {})}


class NewerCheckpointError(CheckpointError):
    """An intact checkpoint of a newer version of the package. It is never skipped in favour of an older checkpoint."""


class UnreadableCheckpointError(CheckpointError):
    """A file cannot be read now, such as without the rights to do so. It may be intact: no older one is taken."""

    exit_code = 5


def verify(path: Path) -> Manifest:
    """Compare every byte of the checkpoint in a folder with its manifest.

    Raises:
        CheckpointError: A file is missing, damaged or not part of a checkpoint.
        NewerCheckpointError: A newer version of the package saved the checkpoint.
    """
    if not is_dir(path):
        raise CheckpointError(f"{path}: folder does not exist")
    manifest = _read_manifest(path / MANIFEST)
    for name, record in manifest.files.items():
        size, sha256 = _measure(path / name)
        if size != record.size:
            raise CheckpointError(f"{path / name}: damaged: wrong size (expected {record.size} bytes, got {size})")
        if sha256 != record.sha256:
            raise CheckpointError(f"{path / name}: damaged: its SHA-256 differs from the one in the manifest")
    return manifest


def load(path: Path, *, mapped: bool = False, is_verified: bool = False) -> Checkpoint:
    """Verify the checkpoint in a folder, then load it. Raises what `verify` raises.

    Args:
        mapped: Whether to map the files into memory: values of tensors are read from the disk when they are used, and
            the files must not change until then. Otherwise, all of them are read now.
        is_verified: Whether the checkpoint has been verified already. Then only its manifest is.
    """
    manifest = _read_manifest(path / MANIFEST) if is_verified else verify(path)
    state = _decoded(path / STATE, _read_json(path / STATE))
    tensors: dict[str, dict[str, Tensor]] = {}
    shards: dict[str, dict[str, Shards]] = {}
    for stem, names in _by_stem(manifest.files.keys() - {STATE}).items():
        with _naming(path / names[0]):
            if stem_of(names[0]) is None:
                tensors[stem] = read_tensors(path / names[0], mapped=mapped)
            else:
                tensors[stem], shards[stem] = join((path / name for name in names), mapped=mapped)
    return Checkpoint(manifest.iteration, path, tensors, state, manifest, shards)


def _by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    """The names of the files of each stem, which are several if its tensors are divided."""
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        found.setdefault(stem_of(name) or name.removesuffix(_SUFFIX), []).append(name)
    return found


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Name a file in the errors of reading it."""
    try:
        yield
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(f"{file}: cannot read: {error}") from error


def read_state(path: Path) -> tuple[Manifest, dict[str, Any]]:
    """The manifest of the checkpoint in a folder, and its state without tensors, which are not verified.

    Raises:
        CheckpointError: The manifest or the state is missing or damaged.
    """
    manifest = _read_manifest(path / MANIFEST)
    data = _read_json(path / STATE)
    if hashlib.sha256(data).hexdigest() != manifest.files[STATE].sha256:
        raise CheckpointError(f"{path / STATE}: damaged: its SHA-256 differs from the one in the manifest")
    return manifest, _decoded(path / STATE, data)


def _read_json(file: Path) -> bytes:
    """The bytes of a file of JSON, which cannot be many."""
    with _reading(file) as stream:
        # Not more than it has: `read` takes memory for as much as it is asked for.
        size = min(os.fstat(stream.fileno()).st_size, MAX_JSON + 1)
        data = stream.read(size)
    if len(data) > MAX_JSON:
        raise CheckpointError(f"{file}: too large (limit {MAX_JSON:,} bytes)")
    return data


def _decoded(file: Path, data: bytes) -> dict[str, Any]:
    with _naming(file):
        return decode_state(data)


def read_manifest(path: Path) -> Manifest:
    """The manifest of the checkpoint in a folder, whose files are not verified.

    Raises:
        CheckpointError: The manifest is missing or damaged.
    """
    return _read_manifest(path / MANIFEST)


def foreign_entry(path: Path) -> str | None:
    """The name of an entry that is not a file of a checkpoint, such as a link or a folder. None: there is none.

    What NFS keeps of a deleted file while another process has it open does not count.
    """
    for entry in sorted(path.iterdir()):
        if entry.name.startswith(".nfs"):
            continue
        if not _OWN_FILE.fullmatch(entry.name) or not stat.S_ISREG(entry.lstat().st_mode):
            return entry.name
    return None


def file_of(stem: str) -> str:
    """The name of the file of a stem.

    Raises:
        CheckpointError: It cannot be one.
    """
    name = stem + _SUFFIX
    if not _OWN_FILE.fullmatch(name):
        raise CheckpointError(f"{name!r} is not a valid file name (expected letters, digits, `_`, `-` and `.`)")
    return name


def encode_state_file(state: Mapping[str, Any]) -> Content:
    """The content of `state.json`.

    Raises:
        CheckpointError: A value cannot be saved.
    """
    data = memoryview(encode_state(state))
    return Content(data.nbytes, [(0, data)])


def encode_tensors(
    file: str, tensors: Mapping[str, Tensor], header: Mapping[str, str] | None = None, left_out: Collection[str] = ()
) -> Content:
    """The content of a safetensors file, in pieces that share the memory of contiguous tensors on the CPU.

    Strides and shared memory are not preserved.

    Args:
        header: Text for the header of the file.
        left_out: The names of tensors whose elements are left out.

    Raises:
        CheckpointError: A value is not a dense tensor with data, or safetensors does not support its dtype.
    """
    if "__metadata__" in tensors:
        # The format would not give it back.
        raise CheckpointError(f"{file}: a tensor cannot have the name '__metadata__', which the format reserves")
    for name, value in tensors.items():
        if not isinstance(value, Tensor) or value.layout != strided or value.is_meta:
            found = (
                "a sparse or meta tensor" if isinstance(value, Tensor) else f"a value of type {type(value).__name__}"
            )
            raise CheckpointError(f"{file}: cannot save {name!r} (expected a dense tensor with data, got {found})")
    return encode(file, tensors, header, left_out)


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of a manifest, including its own hash."""
    return _with_hash(asdict(manifest))


def _with_hash(fields: Mapping[str, Any]) -> bytes:
    """JSON of the fields and their hash. The same for every schema, so that damage never looks like a newer schema."""
    digest = hashlib.sha256(json.dumps(fields, allow_nan=False).encode()).hexdigest()
    return json.dumps({**fields, "sha256": digest}, allow_nan=False, indent=1).encode()


def _read_manifest(file: Path) -> Manifest:
    data = _read_json(file)
    try:
        fields = json.loads(data)
        # Encoded again, it must be the same byte for byte: the hash does not cover the layout of the JSON.
        intact = _with_hash({key: value for key, value in fields.items() if key != "sha256"}) == data
    except (ValueError, AttributeError, RecursionError):
        intact = False
    if not intact:
        raise CheckpointError(f"{file}: damaged: it does not match its own SHA-256")
    schema = fields.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        versions = fields.get("versions")
        needed = versions.get("artschool") if isinstance(versions, dict) else "unknown"
        raise NewerCheckpointError(
            f"{file}: saved by a newer version (schema {schema}, this version reads up to {SCHEMA}). "
            f"Fix: install artschool >= {needed}"
        )
    try:
        manifest = TypeAdapter(Manifest).validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{file}: not a manifest: {field}: {first['msg']}") from error
    for name in manifest.files:
        if not _OWN_FILE.fullmatch(name) or name == MANIFEST:
            raise CheckpointError(f"{file}: lists {name!r}, which is not a file of a checkpoint")
    if STATE not in manifest.files:
        raise CheckpointError(f"{file}: does not list {STATE}")
    return manifest


def _measure(file: Path) -> tuple[int, str]:
    """Size in bytes, and SHA-256."""
    with _reading(file) as stream:
        return os.fstat(stream.fileno()).st_size, hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _reading(file: Path) -> Iterator[BufferedReader]:
    """Open a regular file, not a link, and name it in errors.

    Raises:
        CheckpointError: The file is missing, or the disk has lost a part of it.
        UnreadableCheckpointError: Something else keeps it from being read.
    """
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            raise CheckpointError(f"{file}: not a regular file")
        with file.open("rb") as stream:
            yield stream
    except FileNotFoundError as error:
        raise CheckpointError(f"{file}: missing") from error
    except OSError as error:
        message = f"{file}: cannot read: {error.strerror or error}"
        if error.errno in DAMAGE:
            raise CheckpointError(message) from error
        raise UnreadableCheckpointError(f"{message}. Fix: make it readable, or try again when it is") from error
