"""A logger that cannot stop training: after its first exception it is switched off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from artschool.engine.run_state import Logger, Record, RunState


class FailSafeLogger:
    """Forwards all calls to a logger until it raises; then calls `warn` once with a message."""

    def __init__(self, logger: Logger, warn: Callable[[str], None]) -> None:
        self._logger: Logger | None = logger
        self._warn = warn

    def start(self, run: RunState) -> None:
        """Forward."""
        self._forward("start", run)

    def advance(self, run: RunState) -> None:
        """Forward."""
        self._forward("advance", run)

    def log(self, record: Record) -> None:
        """Forward."""
        self._forward("log", record)

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Forward."""
        self._forward("picture", key, iteration, values)

    def note(self, message: str) -> None:
        """Forward."""
        self._forward("note", message)

    def close(self) -> None:
        """Forward."""
        self._forward("close")

    def _forward(self, method: str, *arguments: Any) -> None:
        if self._logger is None:
            return
        try:
            getattr(self._logger, method)(*arguments)
        except Exception as error:  # A full disk or a lost server must not stop the training.
            name = type(self._logger).__name__
            self._logger = None
            self._warn(
                f"warning: {name} failed in {method!r} and is switched off until the run is resumed: "
                f"{type(error).__name__}: {error}"
            )
