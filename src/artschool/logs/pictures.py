"""Writes the keys of `log.pictures` as PNG grids, `pictures/<key>/<iteration>.png`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from artschool.engine.run_state import Record, RunState
from artschool.errors import ResourceError
from artschool.media.grid import grid
from artschool.media.images import encode_pixels
from artschool.storage.durable import make_folder, remove_leftovers, write_file


class PictureLogger:
    """Writes images to the run folder."""

    def __init__(self) -> None:
        self._folder = Path()
        self._note: Callable[[str], None] = lambda message: None
        self._failed = False

    def start(self, run: RunState) -> None:
        """Store the folder, and remove what a killed process has left in it."""
        self._folder, self._note = run.folder / "pictures", run.note
        if self._folder.is_dir() and not self._folder.is_symlink():
            for folder in self._folder.iterdir():
                if folder.is_dir() and not folder.is_symlink():
                    remove_leftovers(folder)

    def advance(self, run: RunState) -> None:
        """Ignored."""

    def log(self, record: Record) -> None:
        """Ignored."""

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Write a grid of the samples. If the disk does not take it, report it once and try the next one."""
        image = grid(values)
        if image is None:
            return
        try:
            self._write(key, iteration, image)
        except ResourceError as error:
            if not self._failed:
                self._note(f"warning: an image is left out: {error}")
            self._failed = True
        else:
            self._failed = False

    def _write(self, key: str, iteration: int, image: NDArray[np.uint8]) -> None:
        folder = self._folder / "".join(c if c.isalnum() or c in "-_." else "_" for c in key).lstrip(".")
        make_folder(folder)
        write_file(folder / f"{iteration:08}.png", encode_pixels(image, "PNG"))

    def note(self, message: str) -> None:
        """Ignored."""

    def close(self) -> None:
        """Ignored."""
