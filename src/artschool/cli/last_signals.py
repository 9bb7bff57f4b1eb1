"""Signals that arrive when a command is done, while Python shuts down, or before it has begun."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from types import FrameType

from artschool.engine.signals import ENDING, exit_code_of


class LastSignals:
    """Ends the process at once when a signal arrives: nothing is left to save. Ctrl-C does so without this.

    Python stops calling handlers while it shuts down, and a signal would then kill the process, whose parent would not
    find an exit code. There the signals are ignored, since the process is about to end by itself.

    Attributes:
        code: The exit code of the command. One of an error is not hidden by a signal.
    """

    def __init__(self) -> None:
        self.code = 0
        atexit.register(self._ignore)  # What is registered first is called last.

    def listen(self) -> None:
        """Handle the signals that would kill the process from now on."""
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                if signal.getsignal(number) == signal.SIG_DFL:
                    signal.signal(number, self._end)

    def _end(self, number: int, frame: FrameType | None) -> None:
        os._exit(self.code or exit_code_of(number))

    def _ignore(self) -> None:
        for number in ENDING:
            if signal.getsignal(number) == self._end:
                signal.signal(number, signal.SIG_IGN)
