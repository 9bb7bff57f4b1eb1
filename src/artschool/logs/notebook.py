"""Progress of a training in a notebook: the display of the console, replaced in place."""

from __future__ import annotations

import importlib
import io
import sys
import time
from typing import Any

from rich.console import Console

from artschool.engine.logger import Record
from artschool.engine.run_state import RunState
from artschool.logs.console import ConsoleLogger
from artschool.wording.hidden import without_hidden

EVERY_S = 0.5
"""Least number of seconds between two updates."""
WIDTH = 100
"""Width of the display, in characters."""
FORMAT = '<pre style="white-space:pre-wrap;line-height:1.3">{code}</pre>'


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class NotebookLogger(ConsoleLogger):
    """Shows progress, speed, time left and the latest numbers below the cell."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
        self._handle: Any = None
        self._updated = 0.0

    def start(self, run: RunState) -> None:
        """Open the display."""
        super().start(run)
        self._handle = _ipython().display(_ipython().HTML(""), display_id=True)
        self._update(at_once=True)

    def advance(self, run: RunState) -> None:
        """Update the display from time to time."""
        super().advance(run)
        self._update()

    def log(self, record: Record) -> None:
        """Show the numbers."""
        super().log(record)
        self._update()

    def note(self, message: str) -> None:
        """Print the message below the display."""
        print(without_hidden(message))  # noqa: T201  # A notebook has no other console.

    def close(self) -> None:
        """Show the last state."""
        self._update(at_once=True)

    def _update(self, *, at_once: bool = False) -> None:
        if self._handle is None or (not at_once and time.monotonic() - self._updated < EVERY_S):
            return
        console = Console(file=io.StringIO(), record=True, width=WIDTH, force_jupyter=False)
        console.print(self._render())
        self._handle.update(_ipython().HTML(console.export_html(inline_styles=True, code_format=FORMAT)))
        self._updated = time.monotonic()


def _ipython() -> Any:
    return importlib.import_module("IPython.display")
