"""Communication between the processes of a distributed run. With a single process, every function is a no-op."""

from __future__ import annotations

import math
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import Store, TCPStore

from artschool.waits import waiting

Options = ParamSpec("Options")
Value = TypeVar("Value")
AnyTensor = TypeVar("AnyTensor", bound=Tensor)
Group = dist.ProcessGroup | None
"""A group of all processes. None: that of the main thread."""
_is_single = False
_world_size = 1  # Kept, since training asks often: torch looks it up in several calls.
_sums: dist.ProcessGroup | None = None
_attempt: Attempt | None = None
TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others."""
BUCKET_BYTES = 25 * 1024 * 1024
"""Maximum size of the tensors that are sent together, which limits the size of the copy."""


def others() -> str:
    """The name of a wait for the other processes."""
    return "the other processes"


def _waits(communicate: Callable[Options, Value]) -> Callable[Options, Value]:
    """A function that may wait for the other processes."""

    @wraps(communicate)
    def wrapped(*values: Options.args, **options: Options.kwargs) -> Value:
        if world_size() == 1:
            return communicate(*values, **options)
        with waiting(others):
            return communicate(*values, **options)

    return wrapped


@contextmanager
def single_process() -> Iterator[None]:
    """Act as a single process inside the context: nothing is communicated."""
    global _is_single, _world_size  # global, like the process group
    before = _is_single, _world_size
    _is_single, _world_size = True, 1
    try:
        yield
    finally:
        _is_single, _world_size = before


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

    global _world_size  # noqa: PLW0603  # likewise
    dist.init_process_group("fake", rank=0, world_size=count, store=FakeStore())
    _world_size = count
    try:
        yield
    finally:
        _world_size = 1
        dist.destroy_process_group()


def start(device: torch.device) -> None:
    """Join the process group of `torchrun`. Without `torchrun`, do nothing. CPU tensors use gloo."""
    global _sums, _world_size  # noqa: PLW0603  # likewise
    if _is_single:
        return
    if dist.is_initialized():
        _world_size = dist.get_world_size()
        return
    if "WORLD_SIZE" not in os.environ:
        return
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store = _on_loopback() if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"] else None
    place: dict[str, Any] = {}
    if store is not None:
        place = {"store": store, "rank": rank(), "world_size": launched_processes()}
    dist.init_process_group(backend, timeout=TIMEOUT, **place)
    _world_size = dist.get_world_size()
    _sums = dist.new_group()
    # NCCL connects a group at its first use, which must not be in the backward pass of some processes only.
    dist.all_reduce(torch.zeros(1, device=device), group=_sums)


def _on_loopback() -> Store | None:
    """Let the processes of one machine listen on its loopback interface only.

    Returns:
        The store in which they meet. None: that of the launcher, which listens where the launcher decides.
    """
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        return None
    host, port, serves = "127.0.0.1", int(os.environ["MASTER_PORT"]), rank() == 0
    # torch would listen on all interfaces, whatever the name of the host.
    listener = socket.create_server((host, port)).detach() if serves else None
    return TCPStore(host, port, launched_processes(), serves, TIMEOUT, master_listen_fd=listener)


def stop() -> None:
    """Leave the process group."""
    global _sums, _world_size  # likewise
    _sums, _world_size = None, 1
    if dist.is_initialized():
        dist.destroy_process_group()


def announce_end(exit_code: int) -> None:
    """Let the other processes know that this one ends, unless another one has announced that before."""
    with suppress(RuntimeError):  # The process that serves the store may have ended.
        _store().compare_set(_end_key(), "", f"{rank()} {exit_code}")


def first_end() -> tuple[int, int] | None:
    """The rank and the exit code of the process that has announced its end first. None: none has."""
    with suppress(RuntimeError):
        if _store().check([_end_key()]):
            first, exit_code = _store().get(_end_key()).split()
            return int(first), int(exit_code)
    return None


def is_lost(error: BaseException) -> bool:
    """Whether an error means that the connection to another process is lost, or that it does not respond."""
    return isinstance(error, dist.DistError) or "/gloo/" in str(error)  # gloo has no class of its own.


def _store() -> Store:
    """The store of the process group, where values are read without the other processes."""
    return dist.distributed_c10d._get_default_store()


def _end_key() -> str:
    return f"artschool/end/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"


def rank() -> int:
    """The rank of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Number of processes that train together."""
    return _world_size


def launched_processes() -> int:
    """Number of processes that `torchrun` has started, even if they have not joined a group yet."""
    return dist.get_world_size() if dist.is_initialized() else int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that writes files and prints messages: rank 0."""
    return rank() == 0


def local_rank() -> int:
    """The rank of this process on its machine, which selects its device."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@_waits
def wait() -> None:
    """Wait until every process has called this."""
    if world_size() > 1:
        dist.barrier()


@_waits
def largest(flag: int) -> int:
    """The largest flag of all processes, so that they all make the same decision."""
    _check()
    return _largest(flag)


def largest_soon(read: Callable[[], int]) -> Callable[[], int]:
    """Like `largest`, but the processes communicate while they compute something else. Calling the result waits.

    Args:
        read: Returns the flag. Several processes read it now; a single one reads it when it calls the result.
    """
    if world_size() == 1:
        return read
    largest = torch.tensor(read())
    work = dist.all_reduce(largest, dist.ReduceOp.MAX, async_op=True)
    assert work is not None

    @_waits
    def wait() -> int:
        work.wait()
        return int(largest)

    return wait


class AbandonedError(Exception):
    """Another process has abandoned the attempt, so that this one must not wait for it."""


class Attempt:
    """Work of all processes that any of them may abandon, although they communicate in it. See `attempt`."""

    def __init__(self) -> None:
        self._is_over = False

    def abandon(self) -> None:
        """Abandon the work: the others leave it where they would communicate next. Returns when all have left it."""
        if not self._is_over:
            self._compare(abandoned=True)

    def check(self) -> None:
        """Compare with the other processes before communicating with them, and at the end of the work.

        Raises:
            AbandonedError: Another process has abandoned the work.
        """
        if self._compare(abandoned=False):
            raise AbandonedError

    def _compare(self, *, abandoned: bool) -> bool:
        self._is_over = bool(_largest(abandoned))
        return self._is_over


@contextmanager
def attempt() -> Iterator[Attempt]:
    """Work that all processes do, and that any may abandon.

    Inside the context, whatever communicates in this module first asks whether a process has abandoned the work, except
    the sums of `start_sum`, which take part in any case.
    """
    global _attempt  # noqa: PLW0603  # likewise
    _attempt = Attempt()
    try:
        yield _attempt
    finally:
        _attempt = None


def _check() -> None:
    """Called right before the processes communicate. Nothing that can fail may lie between."""
    if _attempt is not None:
        _attempt.check()


@_waits
def _largest(flag: int) -> int:
    if world_size() == 1:
        return flag
    largest = torch.tensor(flag)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


@_waits
def mean(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes, without gradient. Does not wait for the device."""
    if world_size() == 1:
        return value.detach()
    total = value.detach().clone()
    _check()
    dist.all_reduce(total)
    return total / world_size()


@_waits
def gather(value: Value, group: Group = None) -> list[Value]:
    """The values of all processes, by rank. Those of pretended processes are equal."""
    if world_size() == 1:
        return [value]
    values: list[Value] = [value] * world_size()
    if dist.get_backend(group) == "fake":  # Nothing is sent, so there is nothing to unpack.
        return values
    if group is None:
        _check()
    dist.all_gather_object(values, value, group=group)
    return values


@_waits
def tell(text: str, group: Group) -> str:
    """The text of rank 0."""
    told = [text]
    if world_size() > 1:
        dist.broadcast_object_list(told, 0, group=group)
    return told[0]


def new_group() -> Group:
    """A group of all processes for a thread, whose communication must not mix with that of the main thread."""
    # Processes wait here for the slowest one to write.
    return dist.new_group(backend="gloo", timeout=timedelta(days=1)) if world_size() > 1 else None


@_waits
def gather_rows(tensor: Tensor) -> Tensor:
    """The rows of the tensors of all processes, by rank. Numbers of rows may differ; dtypes may not."""
    if world_size() == 1:
        return tensor
    counts = gather(len(tensor))
    padded = tensor.new_zeros(max(counts), *tensor.shape[1:])
    padded[: len(tensor)] = tensor
    parts = [torch.empty_like(padded) for _ in counts]
    _check()
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


@_waits
def broadcast(tensors: Iterable[Tensor], source: int = 0) -> None:
    """Give every process the tensors of the process with the rank `source`. Sharded tensors stay as they are."""
    if world_size() > 1:
        _broadcast(tensors, source)


@torch.no_grad()
def _broadcast(tensors: Iterable[Tensor], source: int) -> None:
    for bucket in buckets(tensor for tensor in tensors if not is_sharded(tensor)):
        flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
        _check()
        dist.broadcast(flat, source)
        if rank() != source:
            pieces = torch.split(flat, [tensor.numel() for tensor in bucket])
            for tensor, piece in zip(bucket, pieces, strict=True):
                tensor.copy_(piece.view_as(tensor))


def is_sharded(tensor: Tensor) -> bool:
    """Whether each process has only a part of a tensor: it is a DTensor."""
    return hasattr(tensor, "to_local")  # An import of torch.distributed.tensor takes as long as one of torch.


def local(tensor: Tensor) -> Tensor:
    """The part of a sharded tensor that this process has; it shares its memory. Another tensor is returned as it is."""
    if not is_sharded(tensor):
        return tensor
    with torch.no_grad():
        part: Tensor = tensor.to_local()  # type: ignore[attr-defined]  # a DTensor
    return part


def local_of(tensors: Iterable[Tensor]) -> list[Tensor]:
    """The parts of tensors that this process has."""
    return [local(tensor) for tensor in tensors]


def copies_of(tensor: Tensor) -> int:
    """The number of processes that have the same part of a sharded tensor."""
    mesh, placements = tensor.device_mesh, tensor.placements  # type: ignore[attr-defined]  # a DTensor
    return math.prod(mesh.size(index) for index, placement in enumerate(placements) if placement.is_replicate())


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


@_waits
@torch.no_grad()
def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor with all its parts. Every process must call this. Another tensor is returned as it is."""
    gathered: Tensor = tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]  # a DTensor
    return gathered


@_waits
def sum_in_place(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor with its sum over all processes."""
    if world_size() > 1:
        for tensor in tensors:
            _check()
            dist.all_reduce(tensor)


@_waits
def largest_in_place(tensor: Tensor) -> None:
    """Replace the elements of a tensor with their maxima over all processes. Does not wait for the device."""
    if world_size() > 1:
        _check()
        dist.all_reduce(tensor, dist.ReduceOp.MAX)


@_waits
def gather_on_main(value: Value) -> list[Value]:
    """The values of all processes, by rank, in the main process. An empty list in the others."""
    if world_size() == 1:
        return [value]
    values: list[Any] | None = [None] * world_size() if is_main() else None
    dist.gather_object(value, values)
    return values or []


def broadcast_shards(shards: Sequence[Sequence[nn.Parameter]]) -> None:
    """Give every process the parameters of each shard, from the process with the rank of the shard."""
    for owner, shard in enumerate(shards):
        broadcast(shard, owner)


def start_sum(tensor: Tensor) -> Callable[[], object]:
    """Begin to replace a tensor with its sum over all processes. Calling the result waits until it is complete.

    The sums have a process group of their own, so that other communication may take place in between. Every process
    must begin the same sums in the same order.
    """
    work = dist.all_reduce(tensor, group=_sums, async_op=True)
    assert work is not None
    wait: Callable[[], object] = work.wait
    return _waits(wait)


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
