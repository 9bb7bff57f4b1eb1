"""Samples in .tar shards: the files that share a name up to its first dot are one sample, as WebDataset writes them."""

from __future__ import annotations

import glob
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from artschool.components.datasets.pictures import FORMATS, decode, to_tensor
from artschool.components.datasets.sources import Tar
from artschool.errors import DataError
from artschool.registry import datasets

Decoder = Callable[[bytes, str], Any]


def _array(data: bytes, where: str) -> Any:
    return torch.from_numpy(np.load(io.BytesIO(data), allow_pickle=False))


def _picture(data: bytes, where: str) -> Any:
    return to_tensor(decode(data, where))


DECODERS: dict[str, Decoder] = {
    **{ending.lstrip("."): _picture for ending in FORMATS},
    **dict.fromkeys(("txt", "text"), lambda data, where: data.decode().strip()),
    **dict.fromkeys(("cls", "cls2", "index", "id"), lambda data, where: int(data)),
    "json": lambda data, where: json.loads(data),
    "npy": _array,
}
"""From the bytes of a file to a value, by its last ending. What runs code when it is read (`.pyd`) is not here."""


@datasets.register
class TarShards:
    """The samples of one or several .tar files, in order; nothing is unpacked.

    The files of a sample have one name up to the first dot: `cat/001.jpg` and `cat/001.cls`. Shards are indexed once,
    so that every sample can be read at any time: their order, a resume and the number of workers are as with folders.
    Pictures become (3, H, W) in 0..1, `.cls` a number, `.txt` text, `.json` what it holds, `.npy` a tensor.

    Args:
        path: A .tar, a pattern such as `shards/*.tar`, or a list of them.
        columns: Key to ending: `{image: jpg, label: cls}`; `jpg;png` takes the first that is there.

    Raises:
        DataError: There is no shard, one is damaged or compressed, an ending is unknown, or no sample has all of them.
    """

    def __init__(self, *, path: str | list[str], columns: dict[str, str]) -> None:
        patterns = [path] if isinstance(path, str) else path
        shards = [Path(file) for pattern in patterns for file in sorted(glob.glob(pattern))]  # noqa: PTH207  # absolute ones too
        if not shards:
            raise DataError(f"tar_shards: there is no file {', '.join(patterns)}")
        self._columns = {key: endings.split(";") for key, endings in columns.items()}
        unknown = sorted(
            {e for endings in self._columns.values() for e in endings if e.rpartition(".")[2] not in DECODERS}
        )
        if unknown:
            raise DataError(f"tar_shards: {unknown[0]!r} files cannot be read; there are {', '.join(sorted(DECODERS))}")
        self._shards = [Tar(shard) for shard in shards]
        self._samples: list[tuple[int, str, tuple[str, ...]]] = []
        for number, shard in enumerate(self._shards):
            self._samples += [(number, stem, found) for stem, found in self._complete(shard)]
        if not self._samples:
            wanted = ", ".join(";".join(endings) for endings in self._columns.values())
            raise DataError(f"tar_shards: no sample of {', '.join(patterns)} has all of {wanted}")

    def _complete(self, shard: Tar) -> list[tuple[str, tuple[str, ...]]]:
        """The samples that have a file for every key, with the endings found."""
        stems: dict[str, set[str]] = {}
        for name in shard.names:
            folder, slash, last = name.rpartition("/")
            stem, _, ending = last.partition(".")
            stems.setdefault(f"{folder}{slash}{stem}", set()).add(ending)
        samples = []
        for stem, there in stems.items():
            found = [next((e for e in endings if e in there), None) for endings in self._columns.values()]
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
            data, where = shard.read(name), f"{shard.path}/{name}"
            try:
                sample[key] = DECODERS[ending.rpartition(".")[2]](data, where)
            except ValueError as error:
                raise DataError(f"{where} is damaged: {error}") from error
        return sample
