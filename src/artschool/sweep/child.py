"""A training in a process of its own, which a crash or a kill ends alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from artschool.storage.processes import ENDS_WITH

LOG = "metrics.jsonl"
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


def measurements(folder: Path, name: str) -> dict[int, float]:
    """The values of a number in the log of a run folder, by the number of finished iterations.

    The whole file is read, since a resumed run cuts it.
    """
    try:
        lines = (folder / LOG).read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    quoted, values = json.dumps(name).encode(), {}
    for line in lines:
        if quoted in line and line.endswith(b"\n"):
            with suppress(ValueError, KeyError):
                record = json.loads(line)
                values[int(record["iteration"]) + 1] = float(record[name])
    return values


def stamp_of(folder: Path) -> tuple[int, int] | None:
    """What differs after the log of a run folder has been written. None: there is no log."""
    with suppress(OSError):
        found = (folder / LOG).stat()
        return found.st_size, found.st_mtime_ns
    return None


def iterations(folder: Path) -> int:
    """The number of iterations that the log of a run folder contains."""
    with suppress(OSError, ValueError, KeyError, IndexError):
        lines = (folder / LOG).read_bytes().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        return int(json.loads(whole[-1])["iteration"]) + 1
    return 0
