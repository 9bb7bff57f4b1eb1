"""SIGTERM and Ctrl-C as a flag: the iteration ends, the run saves, the process exits."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


class StopFlag:
    """Holds the exit code that a signal asks for, 0 while none came."""

    def __init__(self) -> None:
        self.exit_code = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: the first asks to stop; a second Ctrl-C stops at once."""
        if number == signal.SIGINT and self.exit_code == 130:
            raise KeyboardInterrupt
        self.exit_code = self.exit_code or EXIT_CODES[signal.Signals(number)]


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """Catch the signals while inside; only the main thread of a program can."""
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = {number: signal.signal(number, flag) for number in EXIT_CODES}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
