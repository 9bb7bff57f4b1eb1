"""The interface of loggers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from artschool.engine.run_state import RunState

Record = Mapping[str, float | int]
"""Numbers by name."""


class Logger(Protocol):
    """Receives the numbers, images and messages of a run. Only the main process has loggers.

    A logger may be any object with `log`. It may have the other methods, and the following:

    - `audio(key, iteration, waves, rate)`: samples of a key that an evaluation shows, each (C, T) in -1..1, and the
      number of samples per second.
    - `video(key, iteration, gif)`: an animated image of such a key, as the content of a file.
    - `evaluating(name, done, total)`: the number of finished batches of an evaluation, and of all.
    """

    def start(self, run: RunState) -> None:
        """Called when training starts or resumes, with `run.iteration` finished iterations.

        The first record is that of iteration `run.next_record` or a later one.
        """

    def advance(self, run: RunState) -> None:
        """Called after every iteration, so it must be fast."""

    def log(self, record: Record) -> None:
        """Log numbers by name; `iteration`, `samples` and `seconds` are always among them."""

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Log samples of a key: (B, 1 or 3, H, W) in 0..1. `iteration` is the number of finished iterations.

        The key of an evaluation has its name in front: `photos/sr`. Samples with labels are one image of all.
        """

    def note(self, message: str) -> None:
        """Show a message to the user."""

    def close(self) -> None:
        """Called when training ends, also after an error."""
