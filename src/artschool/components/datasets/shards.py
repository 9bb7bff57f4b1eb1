"""Samples in .tar shards in the layout of WebDataset: files that share a name up to its first dot are one sample."""

from __future__ import annotations

import glob
import io
import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from artschool.components.datasets.pictures import FORMATS, REMOVE, decode, to_tensor
from artschool.components.datasets.sources import Tar
from artschool.errors import DataError, allowed
from artschool.registry import datasets
from artschool.registry.ranges import Known, Ranges

Decoder = Callable[[bytes, str], Any]
MOST_EXTENSIONS = 10
"""Extensions that an error lists."""


def _array(data: bytes, location: str) -> Any:
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


@datasets.register(values=_images)
class TarShards:
    """Samples of one or several .tar files, in order, without unpacking them.

    The files of a sample share a name up to the first dot: `cat/001.jpg` and `cat/001.cls`. Shards are indexed once, so
    that any sample can be read at any time: order, resuming and workers behave as with folders. Images become (3, H, W)
    in 0..1, `.cls` a number, `.txt` text, `.json` its content, `.npy` a tensor.

    Args:
        path: A .tar file, a pattern such as `shards/*.tar`, or a list of them.
        columns: File extension of each key, such as `{image: jpg, label: cls}`. `jpg;png` takes the first that exists.

    Raises:
        DataError: No shard is found, a shard is damaged or compressed, an extension is unknown, or no sample has all
            extensions.
    """

    def __init__(self, *, path: str | list[str], columns: dict[str, str]) -> None:
        patterns = [path] if isinstance(path, str) else path
        shards = [Path(file) for pattern in patterns for file in sorted(glob.glob(pattern))]  # noqa: PTH207  # absolute ones too
        if not shards:
            raise DataError(f"tar_shards: no file matches {', '.join(patterns)}. Fix: correct `path`")
        self._columns = {key: endings.split(";") for key, endings in columns.items()}
        unknown = sorted(
            {e for endings in self._columns.values() for e in endings if e.rpartition(".")[2] not in DECODERS}
        )
        if unknown:
            hint = allowed("Available extensions", unknown[0], DECODERS)
            raise DataError(f"tar_shards: columns: unknown extension {unknown[0]!r}. {hint}")
        self._shards = [Tar(shard) for shard in shards]
        self._samples: list[tuple[int, str, tuple[str, ...]]] = []
        for number, shard in enumerate(self._shards):
            self._samples += [(number, stem, found) for stem, found in self._complete(shard)]
        if not self._samples:
            expected = ", ".join(";".join(endings) for endings in self._columns.values())
            found = sorted({PurePosixPath(name).name.partition(".")[2] for tar in self._shards for name in tar.names})
            raise DataError(
                f"tar_shards: no sample of {', '.join(patterns)} has a file for every key (expected {expected}, got "
                f"{', '.join(found[:MOST_EXTENSIONS]) or 'no files'}). Fix: correct `columns`"
            )

    def _complete(self, shard: Tar) -> list[tuple[str, tuple[str, ...]]]:
        """Return the samples that have a file for every key, with the extensions found."""
        stems: dict[str, set[str]] = {}
        for name in shard.names:
            folder, slash, last = name.rpartition("/")
            stem, _, ending = last.partition(".")
            stems.setdefault(f"{folder}{slash}{stem}", set()).add(ending)
        samples = []
        for stem, present in stems.items():
            found = [next((e for e in endings if e in present), None) for endings in self._columns.values()]
            if None not in found:
                samples.append((stem, tuple(ending for ending in found if ending is not None)))
        return samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        number, stem, endings = self._samples[index]
        shard = self._shards[number]
        sample = {}
        for key, ending in zip(self._columns, endings, strict=True):
            name = f"{stem}.{ending}"
            data, location = shard.read(name), f"{shard.path}/{name}"
            try:
                sample[key] = DECODERS[ending.rpartition(".")[2]](data, location)
            except ValueError as error:
                raise DataError(f"{location}: cannot be decoded as {ending}: {error}. {REMOVE}") from error
        return sample
