"""A logger that cannot stop the training: what breaks is told once, and left out from then on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from artschool.engine.run_state import Logger, Record, RunState


class FailSafeLogger:
    """Passes everything on to a logger until that raises; `warn` is then told what happened, once."""

    def __init__(self, logger: Logger, warn: Callable[[str], None]) -> None:
        self._logger: Logger | None = logger
        self._warn = warn

    def start(self, run: RunState) -> None:
        """Pass on."""
        self._try("start", run)

    def advance(self, run: RunState) -> None:
        """Pass on."""
        self._try("advance", run)

    def log(self, record: Record) -> None:
        """Pass on."""
        self._try("log", record)

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Pass on."""
        self._try("picture", key, iteration, values)

    def note(self, message: str) -> None:
        """Pass on."""
        self._try("note", message)

    def close(self) -> None:
        """Pass on."""
        self._try("close")

    def _try(self, method: str, *arguments: Any) -> None:
        if self._logger is None:
            return
        try:
            getattr(self._logger, method)(*arguments)
        except Exception as error:  # A full disk or a lost server must cost the log, not the training.
            name = type(self._logger).__name__
            self._logger = None
            self._warn(
                f"{name} failed in {method} and is off for the rest of this run: {type(error).__name__}: {error}"
            )
