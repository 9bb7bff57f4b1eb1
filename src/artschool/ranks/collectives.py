"""Communication of all processes: sums, broadcasts, and what they gather."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from artschool.ranks.agreement import check_attempt
from artschool.ranks.group import Group, group_of_sums, is_main, may_wait, rank, world_size
from artschool.ranks.shards import copies_of, is_sharded

Value = TypeVar("Value")
AnyTensor = TypeVar("AnyTensor", bound=Tensor)
BUCKET_BYTES = 25 * 1024 * 1024
"""Maximum size of the tensors that are sent together, which limits the size of the copy."""


@may_wait
def gather(value: Value, group: Group = None) -> list[Value]:
    """The values of all processes, by rank. Those of pretended processes are equal."""
    if world_size() == 1:
        return [value]
    values: list[Value] = [value] * world_size()
    if dist.get_backend(group) == "fake":  # Nothing is sent, so there is nothing to unpack.
        return values
    if group is None:
        check_attempt()
    dist.all_gather_object(values, value, group=group)
    return values


@may_wait
def gather_on_main(value: Value) -> list[Value]:
    """The values of all processes, by rank, in the main process. An empty list in the others."""
    if world_size() == 1:
        return [value]
    values: list[Any] | None = [None] * world_size() if is_main() else None
    dist.gather_object(value, values)
    return values or []


@may_wait
def tell(text: str, group: Group) -> str:
    """The text of rank 0."""
    told = [text]
    if world_size() > 1:
        dist.broadcast_object_list(told, 0, group=group)
    return told[0]


@may_wait
def gather_rows(tensor: Tensor) -> Tensor:
    """The rows of the tensors of all processes, by rank. Numbers of rows may differ; dtypes may not."""
    if world_size() == 1:
        return tensor
    counts = gather(len(tensor))
    padded = tensor.new_zeros(max(counts), *tensor.shape[1:])
    padded[: len(tensor)] = tensor
    parts = [torch.empty_like(padded) for _ in counts]
    check_attempt()
    dist.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def all_gather(x: Tensor, *, gradient: bool = False) -> Tensor:
    """The rows of the tensors of all processes, by rank.

    Every process must call this, so a component does not call it in evaluations (`context.training` is False), where
    one process may have fewer batches than another.

    Args:
        x: (B, ...). B may differ between processes.
        gradient: Whether the gradient of a row is summed over processes and returned to the process of the row. A loss
            that compares its own rows with all rows needs this. False: the result has no gradient.
    """
    if not gradient:
        return gather_rows(x.detach())
    gathered: Tensor = _Gathered.apply(x) if world_size() > 1 else x  # type: ignore[no-untyped-call]  # torch
    return gathered


class _Gathered(torch.autograd.Function):
    """The rows of all processes; their gradients return to where the rows came from."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        counts = gather(len(x))
        ctx.first, ctx.count = sum(counts[: rank()]), len(x)
        return gather_rows(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        sum_in_place([total])
        return total[ctx.first : ctx.first + ctx.count]


@may_wait
def broadcast(tensors: Iterable[Tensor], source: int = 0) -> None:
    """Give every process the tensors of the process with the rank `source`. Sharded tensors stay as they are."""
    if world_size() > 1:
        _broadcast(tensors, source)


@torch.no_grad()
def _broadcast(tensors: Iterable[Tensor], source: int) -> None:
    for bucket in buckets(tensor for tensor in tensors if not is_sharded(tensor)):
        flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
        check_attempt()
        dist.broadcast(flat, source)
        if rank() != source:
            pieces = torch.split(flat, [tensor.numel() for tensor in bucket])
            for tensor, piece in zip(bucket, pieces, strict=True):
                tensor.copy_(piece.view_as(tensor))


def broadcast_shards(shards: Sequence[Sequence[nn.Parameter]]) -> None:
    """Give every process the parameters of each shard, from the process with the rank of the shard."""
    for owner, shard in enumerate(shards):
        broadcast(shard, owner)


@may_wait
def mean(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes, without gradient. Does not wait for the device."""
    if world_size() == 1:
        return value.detach()
    total = value.detach().clone()
    check_attempt()
    dist.all_reduce(total)
    return total / world_size()


@may_wait
def sum_in_place(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor with its sum over all processes."""
    if world_size() > 1:
        for tensor in tensors:
            check_attempt()
            dist.all_reduce(tensor)


@may_wait
def largest_in_place(tensor: Tensor) -> None:
    """Replace the elements of a tensor with their maxima over all processes. Does not wait for the device."""
    if world_size() > 1:
        check_attempt()
        dist.all_reduce(tensor, dist.ReduceOp.MAX)


def start_sum(tensor: Tensor) -> Callable[[], object]:
    """Begin to replace a tensor with its sum over all processes. Calling the result waits until it is complete.

    The sums have a process group of their own, so that other communication may take place in between. Every process
    must begin the same sums in the same order.
    """
    work = dist.all_reduce(tensor, group=group_of_sums(), async_op=True)
    assert work is not None
    wait: Callable[[], object] = work.wait
    return may_wait(wait)


def start_sum_of_numbers(numbers: list[int]) -> Callable[[], list[int]]:
    """Begin to sum numbers over processes, on the CPU. Calling the result waits for the sums, and not for the device.

    Returns the numbers themselves where the other processes are pretended. Order as with `start_sum`.
    """
    if dist.get_backend() == "fake":
        return lambda: numbers
    total = torch.tensor(numbers)
    wait = start_sum(total)

    def sums() -> list[int]:
        wait()
        found: list[int] = total.tolist()
        return found

    return sums


@torch.no_grad()
def norms(parts: Sequence[Tensor], tensors: Sequence[Tensor]) -> list[Tensor]:
    """The L2 norm of each tensor, given the part of it that this process has. Does not wait for the device.

    Args:
        parts: The result of `local_of(tensors)`, or values of the same kind, such as differences.
        tensors: Tensors that may be sharded. Then every process must call this.
    """
    found = list(torch._foreach_norm(list(parts)))
    sharded = [index for index, tensor in enumerate(tensors) if is_sharded(tensor)]
    if sharded:
        squares = torch.stack([found[index].square() / copies_of(tensors[index]) for index in sharded])
        sum_in_place([squares])
        for index, norm in zip(sharded, squares.sqrt().unbind(), strict=True):
            found[index] = norm
    return found


def buckets(tensors: Iterable[AnyTensor], limit: int = BUCKET_BYTES, first: int | None = None) -> list[list[AnyTensor]]:
    """Tensors of one dtype and device each, in their order, to be sent together.

    Args:
        limit: Maximum number of bytes in a bucket. A larger tensor has a bucket of its own.
        first: That of the first bucket, if it differs.
    """
    kinds: dict[tuple[torch.dtype, torch.device], list[AnyTensor]] = {}
    for tensor in tensors:
        kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    found: list[list[AnyTensor]] = []
    for same in kinds.values():
        found.append([])
        size = 0
        for tensor in same:
            if found[-1] and size + tensor.nbytes > (limit if first is None or len(found) > 1 else first):
                found.append([])
                size = 0
            found[-1].append(tensor)
            size += tensor.nbytes
    return found
