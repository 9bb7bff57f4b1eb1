"""A logger that cannot stop training: an exception switches it off, and a disk that refuses costs a warning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from artschool.engine.logger import Record
from artschool.engine.run_state import RunState
from artschool.errors import ResourceError
from artschool.storage.processes import ended_if_forked

PER_ITERATION = ("log", "picture", "audio", "video")
"""The methods that write what belongs to one iteration."""


class FailSafeLogger:
    """Forwards calls to a logger, as far as it has the methods, until it raises; then calls `warn` once with a message.

    A `ResourceError` of a call for one iteration does not end this: there may be room for the next one.
    """

    def __init__(self, logger: object, warn: Callable[[str], None]) -> None:
        name = type(logger).__name__
        self._logger: object | None = logger
        self._advance: Callable[[RunState], object] | None = getattr(logger, "advance", None)
        self._warn = warn
        self._is_refused = False
        self._forks = ended_if_forked(lambda: name)  # Made once: `advance` is called often.

    def start(self, run: RunState) -> None:
        """Forward."""
        self._forward("start", run)

    def advance(self, run: RunState) -> None:
        """Forward, without the detour of calls that are rare."""
        if self._advance is not None:
            try:
                with self._forks:
                    self._advance(run)
            except Exception as error:  # As in `_forward`.
                self._switch_off("advance", error)

    def log(self, record: Record) -> None:
        """Forward."""
        self._forward("log", record)

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Forward."""
        self._forward("picture", key, iteration, values)

    def audio(self, key: str, iteration: int, waves: Sequence[Tensor], rate: int) -> None:
        """Forward."""
        self._forward("audio", key, iteration, waves, rate)

    def video(self, key: str, iteration: int, gif: bytes) -> None:
        """Forward."""
        self._forward("video", key, iteration, gif)

    def evaluating(self, name: str, done: int, total: int) -> None:
        """Forward."""
        self._forward("evaluating", name, done, total)

    def note(self, message: str) -> None:
        """Forward."""
        self._forward("note", message)

    def close(self) -> None:
        """Forward."""
        self._forward("close")

    def _forward(self, method: str, *arguments: Any) -> None:
        if (receive := getattr(self._logger, method, None)) is None:
            return
        name = type(self._logger).__name__
        try:
            with self._forks:
                receive(*arguments)
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
        name = type(self._logger).__name__
        self._logger = self._advance = None
        self._warn(
            f"warning: {name} failed in {method!r} and is switched off until the run is resumed: "
            f"{type(error).__name__}: {error}"
        )
