"""Communication between the processes of a distributed run. With a single process, every function is a no-op."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Value = TypeVar("Value")
_is_single = False
BUCKET_ELEMENTS = 8 * 1024 * 1024
"""Maximum number of elements of a flat bucket of gradients, which limits the size of the copy."""


@contextmanager
def single_process() -> Iterator[None]:
    """Act as a single process inside the context: nothing is communicated."""
    global _is_single  # noqa: PLW0603  # global, like the process group
    before, _is_single = _is_single, True
    try:
        yield
    finally:
        _is_single = before


@contextmanager
def pretended(count: int) -> Iterator[None]:
    """Act as rank 0 of so many processes inside the context, without the others: what they would send is undefined.

    One process stays one. The real group, if any, must not have started.
    """
    if count == 1:
        with single_process():
            yield
        return
    from torch.testing._internal.distributed.fake_pg import FakeStore  # Registers the backend "fake".

    dist.init_process_group("fake", rank=0, world_size=count, store=FakeStore())
    try:
        yield
    finally:
        dist.destroy_process_group()


def start(device: torch.device) -> None:
    """Join the process group of `torchrun`. Without `torchrun`, do nothing. CPU tensors use gloo."""
    if "WORLD_SIZE" not in os.environ or dist.is_initialized() or _is_single:
        return
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(minutes=30))


def stop() -> None:
    """Leave the process group."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """The rank of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() and not _is_single else 1


def launched_processes() -> int:
    """Number of processes that `torchrun` has started, even if they have not joined a group yet."""
    return dist.get_world_size() if dist.is_initialized() else int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that writes files and prints messages: rank 0."""
    return rank() == 0


def local_rank() -> int:
    """The rank of this process on its machine, which selects its device."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def wait() -> None:
    """Wait until every process has called this."""
    if world_size() > 1:
        dist.barrier()


def largest(flag: int) -> int:
    """The largest flag of all processes, so that they all make the same decision."""
    if world_size() == 1:
        return flag
    largest = torch.tensor(flag)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


def mean(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes, without gradient. Does not wait for the device."""
    if world_size() == 1:
        return value.detach()
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


def gather(value: Value) -> list[Value]:
    """The values of all processes, by rank."""
    if world_size() == 1:
        return [value]
    values: list[Value] = [value] * world_size()
    dist.all_gather_object(values, value)
    return values


def gather_rows(tensor: Tensor) -> Tensor:
    """The rows of the tensors of all processes, by rank. Numbers of rows may differ; dtypes may not."""
    if world_size() == 1:
        return tensor
    counts = gather(len(tensor))
    padded = tensor.new_zeros(max(counts), *tensor.shape[1:])
    padded[: len(tensor)] = tensor
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def broadcast(tensors: Iterable[Tensor]) -> None:
    """Give every process the tensors of rank 0."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor.detach(), 0)


def sum_in_place(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor with its sum over all processes."""
    if world_size() > 1:
        for tensor in tensors:
            dist.all_reduce(tensor)


def gather_on_main(value: Value) -> list[Value]:
    """The values of all processes, by rank, in the main process. An empty list in the others."""
    if world_size() == 1:
        return [value]
    values: list[Any] | None = [None] * world_size() if is_main() else None
    dist.gather_object(value, values)
    return values or []


def broadcast_shards(shards: Sequence[Sequence[nn.Parameter]]) -> None:
    """Give every process the parameters of each shard, from the process with the rank of the shard."""
    for owner, shard in enumerate(shards if world_size() > 1 else ()):
        for bucket in _buckets(shard):
            flat = torch.cat([parameter.detach().reshape(-1) for parameter in bucket])
            dist.broadcast(flat, owner)
            if rank() != owner:
                pieces = torch.split(flat, [parameter.numel() for parameter in bucket])
                for parameter, piece in zip(bucket, pieces, strict=True):
                    parameter.detach().copy_(piece.view_as(parameter))


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Sum gradients over all processes. The fixed order of `parameters` makes a resumed run bit-identical.

    Each process scales its loss by its share of the whole batch, so the sum is the gradient of the batch. A parameter
    without a gradient in this process gets the sum of the others. If no process has a gradient, it stays None. To find
    out, a process waits for the device, but only if one of its own gradients is missing.
    """
    if world_size() == 1:
        return
    for bucket in _buckets(parameters):
        present = [parameter.grad is not None for parameter in bucket]
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in bucket]
        flags = torch.tensor(present, dtype=gradients[0].dtype).to(gradients[0].device)
        flat = torch.cat([flags, *(gradient.reshape(-1) for gradient in gradients)])
        dist.all_reduce(flat)
        pieces = torch.split(flat[len(bucket) :], [gradient.numel() for gradient in gradients])
        has_gradient = [True] * len(bucket) if all(present) else (flat[: len(bucket)] > 0).tolist()
        for parameter, gradient, piece, has_one in zip(bucket, gradients, pieces, has_gradient, strict=True):
            if has_one:
                gradient.copy_(piece.view_as(gradient))
                parameter.grad = gradient


def _buckets(parameters: Sequence[nn.Parameter]) -> Iterable[list[nn.Parameter]]:
    bucket: list[nn.Parameter] = []
    elements = 0
    for parameter in parameters:
        if bucket and (elements + parameter.numel() > BUCKET_ELEMENTS or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket, elements = [], 0
        bucket.append(parameter)
        elements += parameter.numel()
    if bucket:
        yield bucket
