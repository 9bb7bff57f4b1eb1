"""Tensors of a safetensors file that is mapped into memory: values are read from the disk when they are used.

The pages that were read stay in the memory of the process until the system needs them or `release` returns them.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from artschool.storage.tensor_file import DTYPES

_FILES = WeakIdKeyDictionary()
"""The mapped file of each tensor."""


def map_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a file. Nobody sees what is written to them.

    Raises:
        SafetensorError: The file is damaged.
        OSError: It cannot be read.
    """
    try:
        with safe_open(file, framework="pt"):  # Verifies the header.
            pass
    except RuntimeError as error:  # torch could not open it: a training has just deleted it.
        if os.strerror(errno.ENOENT) not in str(error):
            raise
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file)) from error
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    header.pop("__metadata__", None)
    return {name: _tensor(mapped, 8 + size, **fields) for name, fields in header.items()}


def release(tensor: Tensor) -> None:
    """Return the memory of a result of `map_tensors` to the system. Its values are read again when they are used.

    So is that of the other tensors of its file: an access to a small tensor maps many of those around it.
    """
    mapped: mmap.mmap | None = _FILES.get(tensor)  # type: ignore[no-untyped-call]  # torch
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _tensor(mapped: mmap.mmap, origin: int, *, dtype: str, shape: list[int], data_offsets: list[int]) -> Tensor:
    start, stop = (origin + offset for offset in data_offsets)
    kind = DTYPES[dtype]
    if start == stop:
        return torch.empty(shape, dtype=kind)
    tensor = torch.frombuffer(mapped, dtype=torch.uint8, count=stop - start, offset=start).view(kind).view(shape)
    _FILES[tensor] = mapped
    return tensor
