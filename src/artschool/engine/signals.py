"""Turns SIGTERM and Ctrl-C into a flag, so that a run finishes its iteration and saves before it exits."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


class StopFlag:
    """Holds the exit code of the signal that arrived; 0 if none has."""

    def __init__(self) -> None:
        self.exit_code = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal. A second Ctrl-C raises KeyboardInterrupt immediately."""
        if number == signal.SIGINT and self.exit_code == 130:
            raise KeyboardInterrupt
        self.exit_code = self.exit_code or EXIT_CODES[signal.Signals(number)]


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """Handle the signals inside the context. Outside the main thread, signals are not handled."""
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    original = {number: signal.signal(number, flag) for number in EXIT_CODES}
    try:
        yield flag
    finally:
        for number, handler in original.items():
            signal.signal(number, handler)
