"""What threads wait for, by name, so that another thread can report a wait that takes long.

After a signal or a limit that ends the process, they wait for nobody outside of it, such as a reader of its output.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

Name = Callable[[], str]
"""Returns what a thread waits for, such as `sample 3 of data.train`. Another thread may call it."""


class Waits:
    """The waits of a thread.

    Attributes:
        names: Those that are under way, the innermost last.
        count: Number of waits that have begun, by which a long wait differs from many short ones.
    """

    def __init__(self) -> None:
        self.names: list[Name] = []
        self.count = 0


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.waits = Waits()


_of_thread = _OfThread()


def of_this_thread() -> Waits:
    """The waits of this thread. Each thread has its own."""
    return _of_thread.waits


class waiting:  # noqa: N801  # called like a function; a generator would take longer
    """This thread waits inside the context.

    Args:
        name: What it waits for.
    """

    __slots__ = ("_name", "_waits")

    def __init__(self, name: Name) -> None:
        self._name, self._waits = name, _of_thread.waits

    def __enter__(self) -> None:
        self._waits.count += 1
        self._waits.names.append(self._name)

    def __exit__(self, *error: object) -> None:
        self._waits.names.pop()


class _Process:
    is_ending = False


def end_soon() -> None:
    """Remember that a signal or a limit ends what this process does. A handler of signals may call this."""
    _Process.is_ending = True


def is_ending() -> bool:
    """Whether a signal or a limit ends what this process does."""
    return _Process.is_ending
