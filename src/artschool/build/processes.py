"""Connects the processes of a run."""

from __future__ import annotations

from collections.abc import Callable

import torch

from artschool import ranks
from artschool.engine.signals import ending_at_once
from artschool.errors import ResourceError, first_line

_OPEN_LAUNCHER = (
    "torchrun listens on all network interfaces, without a password. Fix: to listen on this machine only, write "
    "`TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 torchrun --rdzv-backend c10d --rdzv-conf store_type=file --nproc-per-node "
    "...`"
)
_LOST_AT_RESTARTS = (
    "processes that torchrun starts again would look for those before, whose addresses it keeps. Fix: set "
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in the environment of torchrun on every machine"
)


def start_processes(device: torch.device, note: Callable[[str], None]) -> None:
    """Connect the processes that a launcher has started.

    Args:
        note: Called with warnings about the launcher.

    Raises:
        ResourceError: They cannot connect.
    """
    if missing := ranks.missing_variable():
        raise ResourceError(
            f"the environment variable WORLD_SIZE is set, but {missing} is not. "
            "Fix: start the processes with torchrun, or unset WORLD_SIZE to train with one process"
        )
    try:
        with ending_at_once():  # The others may be started much later, or never.
            ranks.start(device)
    except RuntimeError as error:
        raise ResourceError(
            f"the processes cannot connect: {first_line(error)}. Fix: see that each machine reaches the others, on the "
            "network interface that GLOO_SOCKET_IFNAME names, and NCCL_SOCKET_IFNAME for GPUs"
        ) from error
    if ranks.is_launcher_open():
        note(f"warning: {_OPEN_LAUNCHER}")
    if ranks.is_lost_at_restarts():
        note(f"warning: {_LOST_AT_RESTARTS}")
