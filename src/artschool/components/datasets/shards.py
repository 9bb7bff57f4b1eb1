"""Samples in .tar shards in the layout of WebDataset: files that share a name up to its first dot are one sample."""

from __future__ import annotations

import glob
import io
import json
import math
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, field_validator
from pydantic_core import PydanticCustomError

from artschool.components.datasets.block_cache import BlockCache
from artschool.components.datasets.finding import is_hidden
from artschool.components.datasets.remote import expanded, find_remote, is_remote, shown
from artschool.components.datasets.remote_tar import RemoteTar
from artschool.components.datasets.sources import Folder, Tar, find_files
from artschool.errors import DataError
from artschool.media.pixels import FORMATS, REMOVE, decode, to_tensor
from artschool.paths import is_dir
from artschool.registry import datasets
from artschool.registry.ranges import Known, Ranges
from artschool.wording.counting import counted
from artschool.wording.names import allowed

Decoder = Callable[[bytes, str], Any]
MOST_EXTENSIONS = 10
"""Extensions that an error lists."""
INDEXED_AT_ONCE = 16
"""Remote shards whose headers are read at the same time, since each waits for the network."""
UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


def _array(data: bytes, location: str) -> Any:
    stream, read = io.BytesIO(data), np.lib.format
    header = read.read_array_header_1_0 if read.read_magic(stream) == (1, 0) else read.read_array_header_2_0
    shape, _, dtype = header(stream)
    expected, found = math.prod(shape) * dtype.itemsize, len(data) - stream.tell()
    if expected > found and not dtype.hasobject:  # Before NumPy takes memory for it.
        raise ValueError(f"expected {expected} bytes of values, got {found}")
    return torch.from_numpy(np.load(io.BytesIO(data), allow_pickle=False))


def _picture(data: bytes, location: str) -> Any:
    return to_tensor(decode(data, location))


DECODERS: dict[str, Decoder] = {
    **{ending.lstrip("."): _picture for ending in FORMATS},
    **dict.fromkeys(("txt", "text"), lambda data, location: data.decode().strip()),
    **dict.fromkeys(("cls", "cls2", "index", "id"), lambda data, location: int(data)),
    "json": lambda data, location: json.loads(data),
    "npy": _array,
}
"""Decoder of a file by its last extension. Formats that run code when they are read (`.pyd`) are excluded."""


def _images(known: Known) -> Ranges:
    """Keys whose files are images have values in 0..1."""
    columns: dict[str, str] = known.options["columns"]
    endings = {key: [f".{each.rpartition('.')[2]}" for each in column.split(";")] for key, column in columns.items()}
    return {key: (0.0, 1.0) for key, each in endings.items() if set(each) <= FORMATS.keys()}


class ShardCache(BaseModel):
    """A folder on a local disk that keeps what is read of remote shards, for all processes and runs of the machine.

    Attributes:
        folder: Folder of the blocks. null: `artschool` in the user's cache folder.
        size: Largest size of the blocks, such as `500GB`; units are MB, GB and TB. The least recently used blocks are
            deleted.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    folder: Path | None = None
    size: str = "10GB"

    @field_validator("size")
    @classmethod
    def _check_size(cls, size: str) -> str:
        if not re.fullmatch(r"[1-9]\d*(MB|GB|TB)", size):
            raise PydanticCustomError("size", "a size such as 100GB (units: {units})", {"units": ", ".join(UNITS)})
        return size

    def open(self) -> BlockCache:
        """Return the cache."""
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return BlockCache(self.folder or Path(home) / "artschool", int(self.size[:-2]) * UNITS[self.size[-2:]])


@datasets.register(values=_images)
class TarShards:
    """Samples of one or several .tar files, in order, without unpacking them.

    The files of a sample share a name up to the first dot: `cat/001.jpg` and `cat/001.cls`. Shards are indexed once, so
    that any sample can be read at any time: order, resuming and workers behave as with folders. Images become (3, H, W)
    in 0..1, `.cls` a number, `.txt` text, `.json` its content, `.npy` a tensor.

    Args:
        path: A .tar file, a pattern such as `shards/*.tar` or `shards/{000..099}.tar`, a folder of .tar files, or a
            list of them. fsspec reads URLs such as `s3://bucket/{000..099}.tar`, and has their credentials.
        columns: File extension of each key, such as `{image: jpg, label: cls}`. `jpg;png` takes the first that exists.
            Case does not matter.
        cache: Where the blocks that are read of remote shards are kept. null: 10 GB in the user's cache folder.

    Raises:
        DataError: No shard is found, a shard is damaged or compressed, an extension is unknown, or no sample has all
            extensions.
    """

    def __init__(self, *, path: str | list[str], columns: dict[str, str], cache: ShardCache | None = None) -> None:
        patterns = [path] if isinstance(path, str) else path
        shards = [shard for pattern in patterns for shard in _find(pattern)]
        self._columns = {key: endings.lower().split(";") for key, endings in columns.items()}
        unknown = sorted(
            {e for endings in self._columns.values() for e in endings if e.rpartition(".")[2] not in DECODERS}
        )
        if unknown:
            hint = allowed("Available extensions", unknown[0], DECODERS)
            raise DataError(f"tar_shards: columns: unknown extension {unknown[0]!r}. {hint}")
        self._shards = _opened(shards, cache or ShardCache())
        self._samples: list[tuple[int, list[str]]] = []
        self.remarks: list[str] = []
        for number, shard in enumerate(self._shards):
            self._samples += [(number, names) for names in self._complete(shard)]
        if not self._samples:
            expected = ", ".join(";".join(endings) for endings in self._columns.values())
            found = sorted({PurePosixPath(name).name.partition(".")[2] for tar in self._shards for name in tar.names})
            raise DataError(
                f"tar_shards: no sample of {', '.join(patterns)} has a file for every key (expected {expected}, got "
                f"{', '.join(found[:MOST_EXTENSIONS]) or 'no files'}). Fix: correct `columns`"
            )

    def _complete(self, shard: Tar | RemoteTar) -> list[list[str]]:
        """Return the file of each key, for the samples that have all of them."""
        stems: dict[str, dict[str, str]] = {}
        for name in shard.names:
            if is_hidden(name):
                continue
            folder, slash, last = name.rpartition("/")
            stem, _, ending = last.partition(".")
            files = stems.setdefault(f"{folder}{slash}{stem}", {})
            if (other := files.setdefault(ending.lower(), name)) != name:
                raise DataError(
                    f"{shard.path}: expected one file {stem}.{ending.lower()}, got {other} and {name}. Fix: remove one"
                )
        samples, lacking = [], []
        for stem, files in stems.items():
            found = [next((files[e] for e in endings if e in files), None) for endings in self._columns.values()]
            complete = [name for name in found if name is not None]
            if len(complete) == len(found):
                samples.append(complete)
            else:
                lacking.append(stem)
        if samples and lacking:
            count = f"{len(lacking)} of {counted(len(stems), 'sample')}"
            self.remarks.append(f"{shard.path}: passed over {count} without a file for every key, such as {lacking[0]}")
        return samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        number, names = self._samples[index]
        shard = self._shards[number]
        sample = {}
        for key, name in zip(self._columns, names, strict=True):
            data, location = shard.read(name), f"{shard.path}/{name}"
            ending = name.rpartition(".")[2].lower()
            try:
                sample[key] = DECODERS[ending](data, location)
            except (ValueError, TypeError, RecursionError) as error:
                raise DataError(f"{location}: cannot be decoded as {ending}: {error}. {REMOVE}") from error
        return sample


def _opened(shards: Sequence[str | Path], cache: ShardCache) -> list[Tar | RemoteTar]:
    """Index the shards, remote ones at the same time."""
    if not any(isinstance(shard, str) for shard in shards):
        return [Tar(Path(shard)) for shard in shards]
    blocks = cache.open()
    with ThreadPoolExecutor(INDEXED_AT_ONCE) as pool:
        return list(pool.map(lambda one: RemoteTar(one, blocks) if isinstance(one, str) else Tar(one), shards))


def _find(pattern: str) -> Sequence[str | Path]:
    """The shards that a path or a pattern means: URLs, a file, files that match, or all below a folder.

    Raises:
        DataError: There are none.
    """
    files: Sequence[str | Path] = find_remote(pattern) if is_remote(pattern) else _files(pattern)
    if not files:
        raise DataError(f"tar_shards: no file matches {shown(pattern)}. Fix: correct `path`")
    return files


def _files(pattern: str) -> list[Path]:
    path = Path(os.path.expanduser(pattern))  # noqa: PTH111  # unlike Path, keeps the `~` of an unknown user
    if is_dir(path):
        return [
            path / name for name in find_files(Folder(path), (".tar",), (".tgz", ".gz"), "tar_shards: no shards")[0]
        ]
    return [Path(file) for one in expanded(str(path)) for file in sorted(glob.glob(one))]  # noqa: PTH207  # absolute ones too
