"""The interface of a machine on which other machines cannot reach it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

_LISTENING = "0A"
"""The state of a socket in the tables of Linux."""


def store_on_loopback(rank: int, count: int, timeout: timedelta) -> Store | None:
    """Let the processes of one machine listen on its loopback interface only.

    Returns:
        The store in which they meet. None: that of the launcher, which listens where the launcher decides.
    """
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        return _store_of_restart(count, timeout)
    host, port, serves = "127.0.0.1", int(os.environ["MASTER_PORT"]), rank == 0
    # torch would listen on all interfaces, whatever the name of the host.
    listener = socket.create_server((host, port)).detach() if serves else None
    return TCPStore(host, port, count, serves, timeout, master_listen_fd=listener)


def _store_of_restart(count: int, timeout: timedelta) -> Store | None:
    """The part of the launcher's store that belongs to a restart. None: it has not restarted the processes.

    The store still has the addresses of the processes before, which the new ones would try to connect to.
    """
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if restarts == "0":
        return None
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return PrefixStore(f"artschool/restart/{restarts}", TCPStore(host, port, count, False, timeout))


def is_open_to_all(process: int) -> bool:
    """Whether a process waits for connections on all interfaces. Known on Linux, for processes of the same user."""
    with suppress(OSError):
        opened = set(_opened(process))
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                address, state, number = fields[1], fields[3], fields[9]
                is_any = not address.partition(":")[0].strip("0")
                if state == _LISTENING and is_any and f"socket:[{number}]" in opened:
                    return True
    return False


def _opened(process: int) -> Iterator[str]:
    """What a process has opened, such as `socket:[1234]`."""
    for link in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # It is closed again.
            yield str(link.readlink())
