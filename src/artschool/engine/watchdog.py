"""Reports what training waits for when it takes long, and ends a run that waits too long.

A thread looks every second at what the thread that trains waits for. It counts its own turns, so that time while the
process is stopped does not count. Only waits with a name are watched (see `artschool.waits`): a compilation, an
evaluation or an iteration may take as long as it takes.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from types import FrameType

from artschool import ranks, waits
from artschool.engine import standard_error
from artschool.engine.heartbeats import join
from artschool.engine.incidents import record_incident
from artschool.engine.run_state import RunState
from artschool.errors import ResourceError

REPORT_AFTER_S = 30
"""Seconds after which a wait is reported, and again each time that it has lasted twice as long."""
GRACE_S = 10
"""Seconds that the thread that trains has to raise an error, so that the run is saved, before the process exits."""
INTERRUPT = signal.SIGVTALRM
"""Wakes up the thread that trains. Nobody else sends this signal."""


@contextmanager
def watched(run: RunState) -> Iterator[None]:
    """Watch the waits of this thread, which trains a run."""
    watchdog = _Watchdog(run, waits.of_this_thread(), threading.get_ident())
    is_main_thread = threading.current_thread() is threading.main_thread()
    original = signal.signal(INTERRUPT, watchdog.interrupt) if is_main_thread else None
    threads = [threading.Thread(target=watchdog.watch, name="watchdog", daemon=True)]
    if watchdog.heartbeats is not None:
        run_heartbeats = partial(watchdog.heartbeats.run, watchdog.ended)
        threads.append(threading.Thread(target=run_heartbeats, name="heartbeats", daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        watchdog.ended.set()
        for thread in threads:
            thread.join(1)
        if is_main_thread:
            signal.signal(INTERRUPT, original)


@dataclass
class _Watchdog:
    """Watches a thread.

    Attributes:
        waits: Those of the thread.
        thread: Its identity.
        seconds: How long it has waited for the same thing.
        problem: The error that ends the wait. "": it may continue.
    """

    run: RunState
    waits: waits.Waits
    thread: int
    ended: threading.Event = field(default_factory=threading.Event)
    seconds: int = 0
    problem: str = ""

    def __post_init__(self) -> None:
        self.heartbeats = self.run.heartbeats = join(self.does)

    def watch(self) -> None:
        """Look every second."""
        count = 0
        while not self.ended.wait(1):
            name = self._name()
            self.seconds = self.seconds + 1 if name and count == self.waits.count else 0
            count = self.waits.count
            if self.heartbeats is not None:
                self.heartbeats.seconds += 1
            if self.seconds == 0:
                self.problem = ""
            else:
                self._judge(name)

    def does(self) -> str:
        """What the thread does."""
        name = self._name()
        does = f"has waited {self.seconds} seconds for {name}" if name else "computes"
        return f"{does} (iteration {self.run.iteration})"

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal in the thread that is watched.

        Raises:
            ResourceError: It waits too long.
        """
        if self.problem and self.waits.names:
            error = ResourceError(self.problem)
            record_incident(self.run, "hang", error)
            raise error

    def _name(self) -> str:
        with suppress(Exception):  # The wait may end at any moment.
            return self.waits.names[-1]()
        return ""

    def _judge(self, name: str) -> None:
        limit = self.run.sections.train.hang_timeout
        repeats, rest = divmod(self.seconds, REPORT_AFTER_S)
        if rest == 0 and repeats & (repeats - 1) == 0:
            self._report(f"warning: {self._described(name)}")
        if not 0 < limit <= self.seconds:
            return
        if not self.problem:
            self.problem = f"{self._described(name)}. Fix: see the stacks above, or raise `train.hang_timeout`"
            waits.end_soon()
            standard_error.write_stacks()
            if signal.getsignal(INTERRUPT) == self.interrupt:  # Only the main thread can handle signals.
                signal.pthread_kill(self.thread, INTERRUPT)
        elif self.seconds >= limit + GRACE_S:
            standard_error.write(f"{self.problem}\n")
            os._exit(ResourceError.exit_code)

    def _described(self, name: str) -> str:
        """What the thread waits for, for how long, and which processes it waits for."""
        if self.heartbeats is None:
            return f"training {self.does()}"
        culprits = self.heartbeats.culprits if name == ranks.others() else []
        return "; ".join([f"rank {ranks.rank()} {self.does()}", *culprits])

    def _report(self, text: str) -> None:
        """Report by the main process. If it does not respond, the first one that does reports.

        A thread does it, as it may wait for a reader of the output that has stopped.
        """
        if ranks.is_main():
            report = partial(self.run.note, text)
        elif self.heartbeats is not None and all(map(self.heartbeats.is_silent, range(ranks.rank()))):
            report = partial(standard_error.write, f"{text}\n")
        else:
            return
        threading.Thread(target=report, name="report", daemon=True).start()
