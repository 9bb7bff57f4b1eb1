"""A training in a process of its own, which a crash or a kill ends alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from artschool.storage.processes import ENDS_WITH

PATIENCE_S = 60.0
"""Seconds for which a training may save after SIGTERM before it is killed."""


class Child:
    """`artschool train` in a session of its own: Ctrl-C reaches the sweep alone, which then ends it.

    Args:
        arguments: Those of `artschool train`.
        output: The file to which it prints. Kept, and appended to.
        environment: Added to that of this process.
    """

    def __init__(self, arguments: Sequence[str], output: Path, environment: Mapping[str, str]) -> None:
        self._output = output
        self._deadline: float | None = None
        with output.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "artschool", "train", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **environment, ENDS_WITH: str(os.getpid())},
            )

    def poll(self) -> int | None:
        """The exit code; the negative number of a signal that has killed it; None: it runs."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            self.kill()
        return self._process.poll()

    def end(self) -> None:
        """Ask it to save and end. It is killed if it does not within `PATIENCE_S`."""
        if self._deadline is None:
            self._deadline = time.monotonic() + PATIENCE_S
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it together with its workers, and wait for its end."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def last_line(self) -> str:
        """What it has printed last."""
        lines = self._output.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def was_ended(code: int) -> bool:
    """Whether a signal has ended a training, which can then go on: the system, an administrator, a lack of memory."""
    return code < 0 or code in (130, 143)
