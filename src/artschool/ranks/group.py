"""The process group: which process this is, of how many, and how they meet."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from threading import Thread
from typing import Any, ParamSpec, TypeVar

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import Store

from artschool.ranks import connections
from artschool.ranks.loopback import is_open_to_all, store_on_loopback
from artschool.waits import waiting

Options = ParamSpec("Options")
Value = TypeVar("Value")
Group = dist.ProcessGroup | None
"""A group of all processes. None: that of the main thread."""
_is_single = False
_world_size = 1  # Kept, since training asks often: torch looks it up in several calls.
_sums: dist.ProcessGroup | None = None
_launcher = 0
TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others."""
ABORT_S = 60
"""Seconds that NCCL may take to end what it communicates."""


def rank() -> int:
    """The rank of this process, from 0."""
    if _is_single:
        return 0
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


def others() -> str:
    """The name of a wait for the other processes."""
    return "the other processes"


def may_wait(communicate: Callable[Options, Value]) -> Callable[Options, Value]:
    """A function that may wait for the other processes, which the watchdog then reports."""

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

    join("fake", rank=0, world_size=count, store=FakeStore())
    try:
        yield
    finally:
        stop()


def missing_variable() -> str:
    """A variable of the environment that `torchrun` sets, if it is missing although WORLD_SIZE is set. Empty: none."""
    if "WORLD_SIZE" not in os.environ or dist.is_initialized() or _is_single:
        return ""
    return next((name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)), "")


def start(device: torch.device) -> None:
    """Join the process group of `torchrun`. Without `torchrun`, do nothing. CPU tensors use gloo."""
    global _launcher, _sums, _world_size  # noqa: PLW0603  # likewise
    if _is_single:
        return
    _launcher = os.getppid()
    if dist.is_initialized() or "WORLD_SIZE" not in os.environ:
        _world_size = dist.get_world_size() if dist.is_initialized() else 1
        return
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store = store_on_loopback(rank(), launched_processes(), TIMEOUT) if _is_one_machine() else None
    place: dict[str, Any] = {}
    if store is not None:
        place = {"store": store, "rank": rank(), "world_size": launched_processes()}
    with connections.recorded():
        join(backend, **place)
        _sums = dist.new_group()
    # NCCL connects a group at its first use, which must not be in the backward pass of some processes only. Its
    # connections are not recorded: `abort` ends them, and NCCL may end the process if something else does.
    dist.all_reduce(torch.zeros(1, device=device), group=_sums)


def join(backend: str, **place: Any) -> None:
    """Join a process group. `place` is as in `torch.distributed.init_process_group`."""
    global _world_size  # noqa: PLW0603  # likewise
    dist.init_process_group(backend, timeout=TIMEOUT, **place)
    _world_size = dist.get_world_size()


def _is_one_machine() -> bool:
    return os.environ.get("LOCAL_WORLD_SIZE", "0") == os.environ.get("WORLD_SIZE")


def is_launcher_open() -> bool:
    """Whether processes of a single machine have been started by one that other machines can connect to."""
    return _is_one_machine() and is_open_to_all(os.getppid())


def is_lost_at_restarts() -> bool:
    """Whether processes of several machines that torchrun starts again would not find each other.

    They would meet in its store, which has the addresses of the processes before. On one machine they do not.
    """
    restarts, uses_store = (os.environ.get(f"TORCHELASTIC_{name}") for name in ("MAX_RESTARTS", "USE_AGENT_STORE"))
    return not _is_one_machine() and uses_store == "True" and (restarts or "0") != "0"


def has_launcher() -> bool:
    """Whether what has started this process lives. The store of torchrun never answers after its death."""
    return os.getppid() == _launcher


def stop() -> None:
    """Leave the process group."""
    global _sums, _world_size  # likewise
    _sums, _world_size = None, 1
    if dist.is_initialized():
        dist.destroy_process_group()


def abort() -> None:
    """Leave the process groups at once, even if the device waits in them for other processes. It waits no longer.

    What it computes from what it has waited for is undefined.

    Raises:
        RuntimeError: NCCL does not end what it communicates.
    """
    global _sums, _world_size  # likewise
    _sums, _world_size = None, 1
    thread = Thread(target=dist.distributed_c10d._abort_process_group, name="abort", daemon=True)
    thread.start()
    thread.join(ABORT_S)
    if dist.is_initialized():
        raise RuntimeError(f"NCCL has not ended what it communicates within {ABORT_S} s")


def store() -> Store:
    """The store of the process group, where values are read without the other processes."""
    return dist.distributed_c10d._get_default_store()


def group_of_sums() -> Group:
    """The group of `start_sum`."""
    return _sums


def new_group() -> Group:
    """A group of all processes for a thread, whose communication must not mix with that of the main thread."""
    # Processes wait here for the slowest one to write.
    return dist.new_group(backend="gloo", timeout=timedelta(days=1)) if world_size() > 1 else None


@may_wait
def wait() -> None:
    """Wait until every process has called this."""
    if world_size() > 1:
        dist.barrier()
