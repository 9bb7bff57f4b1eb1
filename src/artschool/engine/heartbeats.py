"""What the processes of a run do, and the signal that one of them hears, in the store of the launcher."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

from torch.distributed import (  # type: ignore[attr-defined]  # exported, but not explicitly
    DistNetworkError,
    PrefixStore,
    TCPStore,
)

from artschool import ranks
from artschool.engine import signals

TICK_S = 0.5
"""Seconds between two looks at the signals."""
RECORD_EVERY = 4
"""Looks at the signals between two records of a process."""
CONNECT_S = 2
"""Seconds that the store may take to accept a connection."""
SIGNAL = "signal"
"""The key of the signal that a process has heard."""
SILENT_S = 10
"""Seconds without a new record after which a process does not respond."""

_trainings = count()


@dataclass
class Heartbeats:
    """The records of all processes, and the signal that one of them has heard.

    A process that waits for another one does not end at a signal, as the other would wait for it. So the signal is
    passed on to all processes, one of which may wait for data that never comes.

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
        """Exchange signals and records until the end."""
        for tick in count(1):
            if ended.wait(TICK_S):
                return
            try:
                self._pass_on_signal()
                if tick % RECORD_EVERY == 0:
                    self._exchange()
            except (
                DistNetworkError
            ):  # The connection is lost. Each further call would print kilobytes of torch's stack.
                return
            except Exception:  # Which others a store raises is not documented; it may respond again.
                continue

    def _pass_on_signal(self) -> None:
        if number := signals.arrived():
            self.store.set(SIGNAL, str(number))
        elif self.store.check([SIGNAL]):
            signals.note(int(self.store.get(SIGNAL)))

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
        store = TCPStore(address, port, timeout=timedelta(seconds=CONNECT_S), wait_for_workers=False)
        # Neither a restart nor another training of these processes hears a signal of this one.
        life = f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}.{next(_trainings)}"
        return Heartbeats(PrefixStore(f"artschool/heartbeats/{life}", store), does)
    return None
