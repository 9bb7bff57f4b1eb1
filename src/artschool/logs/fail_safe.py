"""A logger that cannot stop training: an exception switches it off, and a disk that refuses costs a warning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from artschool.engine.run_state import Logger, Record, RunState
from artschool.errors import ResourceError
from artschool.storage.processes import ended_if_forked

PER_ITERATION = ("log", "picture", "audio", "video")
"""The methods that write what belongs to one iteration."""

OPTIONAL = ("audio", "video", "evaluating")
"""The methods that a logger need not have."""


class FailSafeLogger:
    """Forwards all calls to a logger until it raises; then calls `warn` once with a message.

    A `ResourceError` of a call for one iteration does not end this: there may be room for the next one.
    """

    def __init__(self, logger: Logger, warn: Callable[[str], None]) -> None:
        name = type(logger).__name__
        self._logger: Logger | None = logger
        self._warn = warn
        self._is_refused = False
        self._forks = ended_if_forked(lambda: name)  # Made once: `advance` is called often.

    def start(self, run: RunState) -> None:
        """Forward."""
        self._forward("start", run)

    def advance(self, run: RunState) -> None:
        """Forward, without the detour of calls that are rare."""
        if self._logger is not None:
            try:
                with self._forks:
                    self._logger.advance(run)
            except Exception as error:  # As in `_forward`.
                self._switch_off("advance", error)

    def log(self, record: Record) -> None:
        """Forward."""
        self._forward("log", record)

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Forward."""
        self._forward("picture", key, iteration, values)

    def audio(self, key: str, iteration: int, waves: Sequence[Tensor], rate: int) -> None:
        """Forward to a logger that has this method."""
        self._forward("audio", key, iteration, waves, rate)

    def video(self, key: str, iteration: int, gif: bytes) -> None:
        """Forward to a logger that has this method."""
        self._forward("video", key, iteration, gif)

    def evaluating(self, name: str, done: int, total: int) -> None:
        """Forward to a logger that has this method."""
        self._forward("evaluating", name, done, total)

    def note(self, message: str) -> None:
        """Forward."""
        self._forward("note", message)

    def close(self) -> None:
        """Forward."""
        self._forward("close")

    def _forward(self, method: str, *arguments: Any) -> None:
        if self._logger is None or (method in OPTIONAL and not hasattr(self._logger, method)):
            return
        name = type(self._logger).__name__
        try:
            with self._forks:
                getattr(self._logger, method)(*arguments)
            if self._is_refused and method in PER_ITERATION:
                self._is_refused = False
                self._warn(f"{name} writes again")
        except ResourceError as error:
            if method not in PER_ITERATION:
                self._switch_off(method, error)
            elif not self._is_refused:
                self._is_refused = True
                self._warn(f"warning: {name} cannot write, and tries again at its next call: {error}")
        except Exception as error:  # A full disk or a lost server must not stop the training.
            self._switch_off(method, error)

    def _switch_off(self, method: str, error: Exception) -> None:
        name, self._logger = type(self._logger).__name__, None
        self._warn(
            f"warning: {name} failed in {method!r} and is switched off until the run is resumed: "
            f"{type(error).__name__}: {error}"
        )
