"""How processes leave what they communicate, and meet again in a new process group."""

from __future__ import annotations

import os

import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore

from artschool.ranks import connections
from artschool.ranks.group import abort, join, rank, store, world_size


def leave() -> None:
    """Leave whatever the processes communicate, so that the others fail to, and announce that in the store.

    Raises:
        RuntimeError: The process that serves the store has ended.
    """
    connections.end_all()
    store().set(_left_key(rank()), "")


def remaining() -> list[int]:
    """The ranks that have not called `leave`. Raises what it raises."""
    return [each for each in range(dist.get_world_size()) if not store().check([_left_key(each)])]


def join_again() -> None:
    """Join a new process group in place of all others, after every process has called `leave`.

    It is one of the CPU. The meshes of sharded networks do not belong to it. Devices that have waited for each other
    have ended the work that the processes had queued before.

    Raises:
        RuntimeError: A process does not come, or NCCL does not end what it communicates.
    """
    own, count, new_store = rank(), world_size(), PrefixStore(_left_key("all"), store())
    abort()
    join("gloo", store=new_store, rank=own, world_size=count)


def _left_key(who: int | str) -> str:
    return f"artschool/left/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{who}"
