"""The files of one checkpoint: to bytes and back, and the proof that no bit of them has changed.

`<stem>.safetensors` hold tensors, `state.json` everything else, `manifest.json` the size and SHA-256 of each
of them and a hash of itself. Every byte is verified before anything is loaded; none of it is code.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import safetensors.torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from torch import Tensor, strided

from artschool.errors import CheckpointError

SCHEMA = 1
MANIFEST, STATE = "manifest.json", "state.json"
_SUFFIX = ".safetensors"
_OWN_FILE = re.compile(r"manifest\.json|state\.json|\w[\w.-]*\.safetensors", re.ASCII)
# JSON has no nan and no infinities: they are written as {"$float": "nan"}, which cannot be mistaken for text.
_FLOAT = "$float"


@dataclass(frozen=True)
class FileRecord:
    """What a manifest says about one file; `size` in bytes."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint says about itself. `iteration` counts finished iterations, `time` is UTC."""

    schema: int
    iteration: int
    world_size: int
    config_hash: str
    versions: dict[str, str]
    time: str
    files: dict[str, FileRecord]


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint in memory: `tensors[file stem][name]` on the CPU, and the state as given."""

    number: int
    path: Path
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]
    manifest: Manifest


class NewerCheckpointError(CheckpointError):
    """An intact checkpoint of a newer version of the package. It is never passed over for an older one."""


def verify(path: Path) -> Manifest:
    """Compare every byte of the checkpoint in a folder with its manifest.

    Raises:
        CheckpointError: Names the file and what is wrong with it.
        NewerCheckpointError: Says which version of the package is needed.
    """
    if not path.is_dir():
        raise CheckpointError(f"{path}: there is no such folder")
    manifest = _read_manifest(path / MANIFEST)
    for name, record in manifest.files.items():
        size, sha256 = _measure(path / name)
        if size != record.size:
            raise CheckpointError(f"{path / name}: has {size} bytes, its manifest says {record.size}")
        if sha256 != record.sha256:
            raise CheckpointError(f"{path / name}: is damaged: its SHA-256 is not the one in its manifest")
    return manifest


def load(path: Path) -> Checkpoint:
    """Verify the checkpoint in a folder, then load it. Raises what `verify` raises."""
    manifest = verify(path)
    tensors: dict[str, dict[str, Tensor]] = {}
    state: dict[str, Any] = {}
    for name in manifest.files:
        try:
            data = (path / name).read_bytes()
            if name == STATE:
                state = decode_state(data)
            else:
                tensors[name.removesuffix(_SUFFIX)] = safetensors.torch.load(data)
        except (OSError, SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise CheckpointError(f"{path / name}: cannot be read: {error}") from error
    return Checkpoint(manifest.iteration, path, tensors, state, manifest)


def foreign_entry(path: Path) -> str | None:
    """What a folder holds that is no file of a checkpoint: another name, a link, a folder. None: nothing."""
    for entry in sorted(path.iterdir()):
        if not _OWN_FILE.fullmatch(entry.name) or not stat.S_ISREG(entry.lstat().st_mode):
            return entry.name
    return None


def encode_files(tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file but the manifest, one at a time, so that only one is in memory.

    Raises:
        CheckpointError: A value cannot be stored; names it.
    """
    yield STATE, encode_state(state)
    for stem, named in tensors.items():
        name = stem + _SUFFIX
        if not _OWN_FILE.fullmatch(name):
            raise CheckpointError(f"{name!r} is not a plain file name")
        yield name, encode_tensors(name, named)


def encode_tensors(file: str, tensors: Mapping[str, Tensor]) -> bytes:
    """The bytes of a safetensors file. Strides and shared memory are not kept: every name has its own values.

    Raises:
        CheckpointError: A value is not a dense tensor with data, or of a dtype that the format does not know.
    """
    if "__metadata__" in tensors:
        # safetensors would write a file that it cannot read.
        raise CheckpointError(f"{file}: no tensor can be saved under the name '__metadata__'")
    copies: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in tensors.items():
        if not isinstance(value, Tensor) or value.layout != strided or value.is_meta:
            what = "a sparse or meta tensor" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise CheckpointError(f"{file}: {name!r} is {what}; only dense tensors with data can be saved")
        # safetensors writes raw memory: a conjugated view would be saved unconjugated, without a word.
        copy = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
        memory = copy.untyped_storage().data_ptr()
        copies[name] = copy.clone() if memory in seen else copy
        seen.add(memory)
    try:
        return safetensors.torch.save(copies)
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        culprits = [name for name, copy in copies.items() if str(copy.dtype) in str(error)]
        raise CheckpointError(f"{file}: {culprits} cannot be saved: {error}") from error


def encode_state(state: Mapping[str, Any]) -> bytes:
    """The bytes of a strict JSON file. Tuples become lists; nan and infinities are kept.

    Raises:
        CheckpointError: Names a value that JSON cannot hold.
    """
    return json.dumps(_plain(state, "state"), allow_nan=False, indent=1).encode()


def decode_state(data: bytes) -> dict[str, Any]:
    """What `encode_state` was given.

    Raises:
        ValueError: The bytes are not such a file.
    """
    state = json.loads(data, object_hook=lambda found: float(found[_FLOAT]) if set(found) == {_FLOAT} else found)
    if not isinstance(state, dict):
        raise ValueError("it is not a mapping")
    return state


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of a manifest, its own hash included."""
    return _seal(asdict(manifest))


def _plain(value: object, path: str) -> object:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_FLOAT: str(float(value))}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key == _FLOAT:
                raise CheckpointError(f"{path}: the key {key!r} cannot be saved; keys are text other than {_FLOAT!r}")
        return {key: _plain(item, f"{path}.{key}") for key, item in value.items()}
    raise CheckpointError(f"{path}: a {type(value).__name__} cannot be saved as JSON; give plain numbers, text, lists")


def _seal(fields: Mapping[str, Any]) -> bytes:
    """JSON of the fields and their hash, the same way in all schemas: damage never looks like a newer one."""
    digest = hashlib.sha256(json.dumps(fields, allow_nan=False).encode()).hexdigest()
    return json.dumps({**fields, "sha256": digest}, allow_nan=False, indent=1).encode()


def _read_manifest(file: Path) -> Manifest:
    with _reading(file) as stream:
        data = stream.read()
    try:
        fields = json.loads(data)
        # Sealed again it must be the same to the last byte: the hash alone says nothing about the layout.
        intact = _seal({key: value for key, value in fields.items() if key != "sha256"}) == data
    except (ValueError, AttributeError, RecursionError):
        intact = False
    if not intact:
        raise CheckpointError(f"{file}: is damaged: it does not match its own SHA-256")
    schema = fields.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        versions = fields.get("versions")
        needed = versions.get("artschool") if isinstance(versions, dict) else "unknown"
        raise NewerCheckpointError(
            f"{file}: has schema {schema}, this version reads up to {SCHEMA}; needs artschool >= {needed}"
        )
    try:
        manifest = TypeAdapter(Manifest).validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{file}: is no manifest: {where}: {first['msg']}") from error
    for name in manifest.files:
        if not _OWN_FILE.fullmatch(name) or name == MANIFEST:
            raise CheckpointError(f"{file}: lists {name!r}, which is no part of a checkpoint")
    if STATE not in manifest.files:
        raise CheckpointError(f"{file}: does not list {STATE}")
    return manifest


def _measure(file: Path) -> tuple[int, str]:
    """Bytes and SHA-256."""
    with _reading(file) as stream:
        return os.fstat(stream.fileno()).st_size, hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _reading(file: Path) -> Iterator[BufferedReader]:
    """Open a plain file, no link, and name it in all errors."""
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            raise CheckpointError(f"{file}: is not a plain file")
        with file.open("rb") as stream:
            yield stream
    except FileNotFoundError as error:
        raise CheckpointError(f"{file}: is missing") from error
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror or error}") from error
