"""What loggers that track experiments have in common: the id in the run folder, images, hyperparameters."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from artschool.components.loggers.background import Background
from artschool.media.pixels import images_of
from artschool.paths import is_file
from artschool.storage.durable import make_folder, write_file

Images = list[NDArray[np.uint8]]
_ID = re.compile(r"[0-9A-Za-z._-]{6,80}")


class Tracker:
    """A logger that sends numbers and images to a program that tracks experiments, from a thread.

    A subclass implements `begin`, `numbers`, `images` and `end`, which are called in the thread. Their first error ends
    the logging, not the training.

    Attributes:
        program: The name of the program. The file `<program>.id` of the run folder identifies the tracked run, so that
            a resumed run continues it, also in a folder that was moved.
    """

    program = ""

    def __init__(self) -> None:
        self._thread: Background | None = None

    def begin(self, known: str, name: str, config: Mapping[str, Any]) -> str:
        """Start a run, or resume the one with the id `known`, unless that is empty. Returns the id."""
        raise NotImplementedError

    def numbers(self, numbers: Mapping[str, float], step: int) -> None:
        """Send the numbers of an iteration."""
        raise NotImplementedError

    def images(self, key: str, images: Images, step: int) -> None:
        """Send images of a key, (H, W, 3) each."""
        raise NotImplementedError

    def end(self, *, has_failed: bool) -> None:
        """End the run. It has failed if an error or a signal has ended the training."""
        raise NotImplementedError

    def start(self, run: Any) -> None:
        """Start or resume the tracked run."""
        self._thread = Background(self.program)
        self._thread.call(self._begin, Path(run.folder).resolve(), run.sections.name, run.config)

    def log(self, record: Mapping[str, float]) -> None:
        """Send the numbers."""
        if self._thread is not None:
            numbers = {name: float(value) for name, value in record.items() if name != "iteration"}
            self._thread.call(self.numbers, numbers, int(record["iteration"]))

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Send images, (B, 1 or 3, H, W) or (B, H, W) in 0..1; ignore other tensors."""
        images = images_of(values)
        if images and self._thread is not None:
            self._thread.call(self.images, key, images, iteration - 1)

    def close(self) -> None:
        """Wait until everything is sent, for some seconds."""
        thread, self._thread = self._thread, None
        if thread is not None:
            has_failed = sys.exc_info()[0] is not None
            thread.call(lambda: self.end(has_failed=has_failed))
            thread.close()

    def _begin(self, folder: Path, name: str, config: Mapping[str, Any]) -> None:
        file = folder / f"{self.program}.id"
        known = read_id(file)
        new = self.begin(known, name, config)
        if new != known:
            write_id(file, new)


def read_id(file: Path) -> str:
    """The id that a file of a run folder contains. Empty: there is none."""
    known = file.read_text(encoding="ascii", errors="replace").strip() if is_file(file) else ""
    return known if _ID.fullmatch(known) else ""


def write_id(file: Path, new: str) -> None:
    """Keep an id in a run folder."""
    make_folder(file.parent)
    write_file(file, f"{new}\n".encode())


def flat(config: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of a file by their paths: `steps.gen.optimizer.lr`, 2e-3. Lists are one value."""
    if not isinstance(config, Mapping):
        yield path, config
        return
    for name, value in config.items():
        yield from flat(value, f"{path}.{name}" if path else str(name))
