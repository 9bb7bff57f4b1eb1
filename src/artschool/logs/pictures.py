"""Writes what a run shows into its folder: `pictures/<key>/<iteration>.png`, and `.gif` and `-<n>.wav`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from artschool.engine.run_state import RunState
from artschool.errors import ResourceError
from artschool.media.audio import encode_wav
from artschool.media.grid import grid
from artschool.media.images import encode_pixels
from artschool.paths import is_dir
from artschool.storage.durable import make_folder, remove_leftovers, write_file


class PictureLogger:
    """Writes images, sound and animated images to the run folder."""

    def __init__(self) -> None:
        self._folder = Path()
        self._note: Callable[[str], None] = lambda message: None
        self._failed = False

    def start(self, run: RunState) -> None:
        """Store the folder, and remove what a killed process has left in it."""
        self._folder, self._note = run.folder / "pictures", run.note
        if is_dir(self._folder) and not self._folder.is_symlink():
            for parent, _, _ in os.walk(self._folder):
                remove_leftovers(Path(parent))

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Write a grid of the samples."""
        image = grid(values)
        if image is not None:
            self._write(key, f"{iteration:08}.png", encode_pixels(image, "PNG"))

    def audio(self, key: str, iteration: int, waves: Sequence[Tensor], rate: int) -> None:
        """Write a WAV file for each sample."""
        for number, wave in enumerate(waves):
            self._write(key, f"{iteration:08}-{number}.wav", encode_wav(wave, rate))

    def video(self, key: str, iteration: int, gif: bytes) -> None:
        """Write an animated image."""
        self._write(key, f"{iteration:08}.gif", gif)

    def _write(self, key: str, name: str, data: bytes) -> None:
        """Write a file. If the disk does not take it, report it once and try the next one."""
        folder = self._folder.joinpath(*(part for each in key.split("/") if (part := _safe(each))))
        try:
            make_folder(folder)
            write_file(folder / name, data)
        except ResourceError as error:
            if not self._failed:
                self._note(f"warning: an image is left out: {error}")
            self._failed = True
        else:
            self._failed = False


def _safe(name: str) -> str:
    """The name of a folder for a part of a key."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).lstrip(".")
