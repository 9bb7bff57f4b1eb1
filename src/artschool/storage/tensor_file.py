"""The content of a safetensors file, as buffers that share the memory of the tensors or are copies of one at a time.

The package safetensors would need memory for the whole content. The format: the length of the header in 8 bytes, the
header in JSON, filled up to a multiple of 8 bytes, then the elements of each tensor.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from artschool.errors import CheckpointError

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
DTYPES = {name: dtype for dtype, name in _DTYPES.items()}
"""The dtypes by their names in a file."""


class Content(NamedTuple):
    """The content of a file, or a part of it.

    Attributes:
        size: That of the file, in bytes.
        pieces: Where each piece begins, and its bytes, which are read one after the other.
    """

    size: int
    pieces: Iterable[tuple[int, memoryview]]


def encode(
    file: str, tensors: Mapping[str, Tensor], header: Mapping[str, str] | None = None, left_out: Collection[str] = ()
) -> Content:
    """The content of a file. The tensors must not change before the pieces have been used.

    Args:
        file: For errors.
        tensors: Dense tensors with data, on any device.
        header: Text for the header.
        left_out: The names of tensors whose elements are left out.

    Raises:
        CheckpointError: The format has no such dtype or name.
    """
    # Larger elements first, so that all are aligned.
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    fields: dict[str, object] = {"__metadata__": header} if header else {}
    starts: dict[str, int] = {}
    end = 0
    for name in names:
        tensor = tensors[name]
        if tensor.dtype not in _DTYPES:
            raise CheckpointError(f"{file}: cannot save {name!r}: {tensor.dtype}")
        starts[name], end = end, end + tensor.nbytes
        fields[name] = {"dtype": _DTYPES[tensor.dtype], "shape": [*tensor.shape], "data_offsets": [starts[name], end]}
    try:
        text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise CheckpointError(f"{file}: cannot save the tensors: {error}") from error
    text += b" " * (-len(text) % 8)
    head = memoryview(len(text).to_bytes(8, "little") + text)
    starts = {name: head.nbytes + start for name, start in starts.items() if name not in left_out}
    return Content(head.nbytes + end, _pieces(head, [(start, tensors[name]) for name, start in starts.items()]))


def _pieces(head: memoryview, tensors: Iterable[tuple[int, Tensor]]) -> Iterator[tuple[int, memoryview]]:
    yield 0, head
    for start, tensor in tensors:
        # The file has raw memory: without `resolve`, a conjugated view would be saved unconjugated.
        dense = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
        flat = dense.as_strided((dense.numel(),), (1,))  # With one element, any stride is contiguous.
        yield start, np.from_dlpack(flat.view(torch.uint8)).data  # After `numpy()`, torch never resizes the storage.
