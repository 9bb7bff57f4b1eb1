"""`artschool train` whose standard output or error is a pipe that is full when the training hangs."""

from __future__ import annotations

import os
import sys

from artschool.cli.main import main
from artschool.engine import watchdog
from artschool.engine.watchdog import _Watchdog

FILE = {"stdout": 1, "stderr": 2}[sys.argv.pop(1)]
judge = _Watchdog._judge


def fill_then_judge(self: _Watchdog, name: str) -> None:
    """Fill the pipe before the watchdog says anything."""
    if self.seconds == 1:
        os.set_blocking(FILE, False)
        try:
            while True:
                os.write(FILE, b"x")
        except BlockingIOError:
            os.set_blocking(FILE, True)
    judge(self, name)


_Watchdog._judge = fill_then_judge  # type: ignore[method-assign]  # in this process
watchdog.REPORT_AFTER_S = 2
watchdog.GRACE_S = 3
sys.argv.insert(1, "train")
main()
