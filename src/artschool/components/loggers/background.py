"""A thread that speaks to a server, so that a slow one or one that is down does not hold up training."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from artschool.errors import ResourceError

MOST_WAITING = 1000
"""Calls that may wait for the server. Later ones are left out."""
MOST_BYTES = 256 * 10**6
"""Bytes of the tensors and arrays in the calls that wait. A call that would exceed them is left out."""
PATIENCE_S = 20.0
"""Seconds for which the end of a run waits for the last calls."""

Call = tuple[Callable[..., object], tuple[Any, ...]]


class Background:
    """Makes calls one after the other in a thread that ends with the process.

    Args:
        name: What the thread speaks to, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: queue.Queue[Call | None] = queue.Queue(MOST_WAITING)
        self._error: Exception | None = None
        self._lost = 0
        self._bytes = 0
        self._made_bytes = 0
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call a function soon. Returns at once.

        Raises:
            Exception: The error of an earlier call. There are no further calls after it.
        """
        self._raise_error()
        size = bytes_in(arguments)
        # Each number is written by one thread alone.
        if self._waiting.full() or (size and self._bytes + size - self._made_bytes > MOST_BYTES):
            self._lost += 1
            return
        self._bytes += size
        self._waiting.put((function, arguments))

    def close(self) -> None:
        """Wait for the calls, for up to `PATIENCE_S` seconds.

        Raises:
            ResourceError: Some calls were not made.
            Exception: The error of a call.
        """
        try:
            self._waiting.put(None, timeout=PATIENCE_S)
        except queue.Full:
            self._lost += 1
        else:
            self._thread.join(PATIENCE_S)
        self._raise_error()
        lost = self._lost + self._waiting.qsize() + self._thread.is_alive()
        if lost:
            raise ResourceError(f"{self._name} does not respond, or is too slow: {lost} calls were left out")

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (call := self._waiting.get()) is not None:
            function, arguments = call
            try:
                if self._error is None:
                    function(*arguments)
            except Exception as error:  # Of the package of the server.
                self._error = error
            self._made_bytes += bytes_in(arguments)


def bytes_in(value: Any) -> int:
    """The bytes of the tensors and arrays in a value."""
    if isinstance(value, Mapping):
        return sum(map(bytes_in, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(bytes_in, value))
    return int(getattr(value, "nbytes", 0))
