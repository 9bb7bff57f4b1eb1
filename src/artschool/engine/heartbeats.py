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
from artschool.storage.processes import runs, start_of

TICK_S = 0.5
"""Seconds between two looks at the signals."""
RECORD_EVERY = 4
"""Looks at the signals between two records of a process."""
CONNECT_S = 10
"""Seconds that the store may take to accept a connection."""
SIGNAL = "signal"
"""The key of the signal that a process has heard."""
SILENT_S = 10
"""Seconds without a new record after which a process does not respond."""
BUSY_S = 60
"""The same, after which a process does not respond although it runs on this machine: the machine may be busy."""

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
        identity: This process, for others on its machine: its number, and when it has started.
    """

    store: PrefixStore
    does: Callable[[], str]
    seconds: int = 0
    records: dict[int, tuple[str, int]] = field(default_factory=dict)
    exchanged: int = 0
    identity: str = field(default_factory=lambda: f"{os.getpid()}/{start_of(os.getpid())}")

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
        self.store.set(str(ranks.rank()), f"{self.seconds} {self.identity} {self.does()}")
        for rank in range(ranks.world_size()):
            if rank != ranks.rank():
                record = self.store.get(str(rank)).decode() if self.store.check([str(rank)]) else ""
                if record != self.records.get(rank, ("", 0))[0]:
                    self.records[rank] = record, self.seconds
        self.exchanged = self.seconds

    def is_silent(self, rank: int) -> bool:
        """Whether another process does not respond."""
        return self._silence(rank) >= SILENT_S

    def is_gone(self, rank: int) -> bool:
        """Whether another process that does not respond has ended or stopped, or seems to.

        A record comes late from a busy machine. So a process that runs on this one has more time.
        """
        return self.is_silent(rank) and (self._silence(rank) >= BUSY_S or not self._runs_here(rank))

    def _silence(self, rank: int) -> int:
        return self.seconds - self.records.get(rank, ("", 0))[1]

    def _runs_here(self, rank: int) -> bool:
        _, identity, _ = self._parts(rank)
        number, _, start = identity.partition("/")
        return bool(start) and runs(int(number), start)

    def _parts(self, rank: int) -> list[str]:
        """Of the last record of a process: its seconds, its identity and what it does. Empty: it has written none."""
        return [*self.records.get(rank, ("", 0))[0].split(" ", 2), "", "", ""][:3]

    @property
    def culprits(self) -> list[str]:
        """What the processes do that do not wait for others."""
        if self.seconds - self.exchanged >= SILENT_S:
            return ["rank 0, or what has started the processes, does not respond"]
        found = []
        for rank in sorted(self.records):
            does = self._parts(rank)[2]
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
