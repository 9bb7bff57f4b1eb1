"""What the processes of a run do, as each of them writes it to the store of the launcher every few seconds."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # exported, but not explicitly

from artschool import ranks

INTERVAL_S = 2
"""Seconds between two records of a process."""
SILENT_S = 10
"""Seconds without a new record after which a process does not respond."""


@dataclass
class Heartbeats:
    """The records of all processes.

    A thread exchanges them, as a store that does not respond makes it wait without end. A store that cannot be reached
    is no reason to end a run: nothing is known then.

    Attributes:
        store: A connection of its own, so that the thread that trains never waits for this one.
        does: Returns what this process does.
        seconds: Age of this object, which its owner counts.
        records: The last record of each other process, and its age when it was new.
        exchanged: The age of the last exchange.
    """

    store: PrefixStore
    does: Callable[[], str]
    seconds: int = 0
    records: dict[int, tuple[str, int]] = field(default_factory=dict)
    exchanged: int = 0

    def run(self, ended: threading.Event) -> None:
        """Exchange records until the end."""
        while not ended.wait(INTERVAL_S):
            with suppress(Exception):  # Which exceptions a store raises is not documented.
                self._exchange()

    def _exchange(self) -> None:
        self.store.set(str(ranks.rank()), f"{self.seconds} {self.does()}")
        for rank in range(ranks.world_size()):
            if rank != ranks.rank():
                record = self.store.get(str(rank)).decode() if self.store.check([str(rank)]) else ""
                if record != self.records.get(rank, ("", 0))[0]:
                    self.records[rank] = record, self.seconds
        self.exchanged = self.seconds

    def is_silent(self, rank: int) -> bool:
        """Whether another process has stopped or ended."""
        return self.seconds - self.records.get(rank, ("", 0))[1] >= SILENT_S

    @property
    def culprits(self) -> list[str]:
        """What the processes do that do not wait for others."""
        if self.seconds - self.exchanged >= SILENT_S:
            return ["rank 0, or what has started the processes, does not respond"]
        found = []
        for rank, (record, _) in sorted(self.records.items()):
            does = record.partition(" ")[2]
            if self.is_silent(rank):
                found.append(f"rank {rank} does not respond")
            elif ranks.others() not in does:
                found.append(f"rank {rank} {does}")
        return found


def join(does: Callable[[], str]) -> Heartbeats | None:
    """Connect to the store. None: there is a single process, or no store."""
    if ranks.world_size() == 1:
        return None
    with suppress(Exception):
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(address, port, timeout=timedelta(seconds=INTERVAL_S), wait_for_workers=False)
        return Heartbeats(PrefixStore("artschool/heartbeats", store), does)
    return None
