"""Threads for which Python waits before the process ends. The code of a component may have started one."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

from artschool.wording.hidden import without_hidden

PATIENCE_S = 2.0
"""Seconds for which the wait is silent."""


def tell_of_threads() -> None:
    """Say after a while what the process waits for, if it then still does."""
    if _names():
        timer = threading.Timer(PATIENCE_S, _tell)
        timer.daemon = True
        timer.start()


def _names() -> list[str]:
    """The threads that keep the process from ending."""
    return [each.name for each in threading.enumerate() if each is not threading.main_thread() and not each.daemon]


def _tell() -> None:
    if names := _names():
        fix = "Fix: start threads with `daemon=True`, or end them. Ctrl-C ends the process"
        text = without_hidden(f"the command is done, but waits for the end of threads: {', '.join(names)}. {fix}\n")
        # Without a stream, whose lock a thread must not hold when Python ends.
        with suppress(OSError, ValueError, AttributeError):
            os.write(sys.stderr.fileno(), text.encode(errors="replace"))
