"""Objects for another process, with their tensors and arrays in memory that both processes share.

The memory has no name and belongs to no folder: it does not count as part of /dev/shm, whatever the size of that, and
ends with the last process that has it open.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
import socket
import tempfile
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

ALIGNMENT = 64
"""Tensors begin at multiples of so many bytes."""
_FILE = b"F"
"""The byte with which a file descriptor is sent."""
_PROTOCOL = 5  # The first one that leaves arrays outside the message.


class Sent(NamedTuple):
    """What is sent: a file without a name. Whoever has it must close it.

    Attributes:
        file: The file descriptor.
        bounds: Where each part begins and ends. The last one is a message that refers to the others.
    """

    file: int
    bounds: tuple[tuple[int, int], ...]


def pack(value: Any) -> Sent:
    """Write an object to shared memory.

    Raises:
        OSError: There is no memory, or no file handle.
        Exception: The code of a value that is packed raised it.
    """
    message, buffers = io.BytesIO(), list[Any]()
    pickler = ForkingPickler(message, _PROTOCOL, True, buffers.append)
    pickler.dispatch_table[Tensor] = _reduce
    pickler.dump(value)
    parts = [memoryview(buffer.raw()) for buffer in buffers]
    parts.append(message.getbuffer())
    bounds, stop = [], 0
    for part in parts:
        start = -(-stop // ALIGNMENT) * ALIGNMENT
        stop = start + part.nbytes
        bounds.append((start, stop))
    handle = _unnamed_file()
    try:
        with open(handle, "wb", closefd=False) as file:  # has no path
            for (start, _), part in zip(bounds, parts, strict=True):
                file.seek(start)
                file.write(part)
    except BaseException:
        os.close(handle)
        raise
    return Sent(handle, tuple(bounds))


def unpack(sent: Sent) -> Any:
    """The object. Its tensors and arrays share the memory of the file, which this closes."""
    try:
        memory = memoryview(mmap.mmap(sent.file, sent.bounds[-1][1]))
    finally:
        os.close(sent.file)
    *buffers, message = (memory[start:stop] for start, stop in sent.bounds)
    return ForkingPickler.loads(message, buffers=buffers)


def send(connection: Connection, sent: Sent) -> None:
    """Send what `pack` returned, and close it here.

    Raises:
        OSError: Nobody receives it.
    """
    try:
        connection.send(sent.bounds)
        with _socket_of(connection) as channel:  # `send_handle` waits for an answer from Python 3.14 on.
            socket.send_fds(channel, [_FILE], [sent.file])
    finally:
        os.close(sent.file)


def receive(connection: Connection) -> Sent:
    """Wait for an object.

    Raises:
        EOFError: The other process has ended.
        OSError: The connection broke, or this process has too many open files.
    """
    bounds = connection.recv()
    with _socket_of(connection) as channel:
        message, files, *_ = socket.recv_fds(channel, len(_FILE), 1)
    if not message:
        raise EOFError
    if not files:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return Sent(files[0], bounds)


def _socket_of(connection: Connection) -> socket.socket:
    return socket.fromfd(connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM)


def _unnamed_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("artschool")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _reduce(tensor: Tensor) -> tuple[Any, ...]:
    values = tensor.detach().resolve_conj().resolve_neg().contiguous()
    # NumPy, which sends arrays without a copy, does not have all dtypes of torch.
    return _tensor, (values.reshape(-1).view(torch.uint8).numpy(), tensor.dtype, tensor.shape)


def _tensor(values: np.ndarray[Any, Any], dtype: torch.dtype, shape: torch.Size) -> Tensor:
    return torch.from_numpy(values).view(dtype).view(shape)
