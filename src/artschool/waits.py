"""What the training waits for. Each wait has a name, so that one that takes long can be reported and ended.

The thread that trains writes this down; `artschool.engine.watchdog` reads it from another thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERVAL = 0.5
"""Seconds after which a wait that can wake up calls `check`."""
Check = Callable[[], None]
"""Raises an error if the thread must not wait any longer."""


class Waits:
    """The waits of a thread, the innermost last."""

    def __init__(self) -> None:
        self.names: list[Callable[[], str]] = []
        self.count = 0
        self.checks: list[Check] = []


_threads = threading.local()


def of_this_thread() -> Waits:
    """The waits of this thread. Each thread has its own."""
    waits: Waits | None = getattr(_threads, "waits", None)
    if waits is None:
        waits = _threads.waits = Waits()
    return waits


class waiting:  # noqa: N801  # used like a function; a generator would take four times as long
    """This thread waits inside the context.

    Args:
        name: Returns what it waits for, such as "a batch of data.train". Another thread may call it.
    """

    __slots__ = ("_name", "_waits")

    def __init__(self, name: Callable[[], str]) -> None:
        self._name, self._waits = name, of_this_thread()

    def __enter__(self) -> None:
        self._waits.count += 1
        self._waits.names.append(self._name)

    def __exit__(self, *error: object) -> None:
        self._waits.names.pop()


@contextmanager
def checked(check: Check) -> Iterator[None]:
    """Inside the context, a wait of this thread for a batch calls `check` at least every `INTERVAL` seconds.

    When it is called, the last iteration is whole and the next one has not begun, so what it raises ends the run like
    an error of the data: the last finished iteration is saved.
    """
    checks = of_this_thread().checks
    checks.append(check)
    try:
        yield
    finally:
        checks.remove(check)


def check() -> None:
    """Raise what a check of this thread raises."""
    for each in of_this_thread().checks:
        each()
