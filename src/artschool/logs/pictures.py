"""Writes the keys of `log.pictures` as PNG grids, `pictures/<key>/<iteration>.png`."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from artschool.engine.run_state import Record, RunState
from artschool.errors import ResourceError
from artschool.storage.durable import make_folder, remove_leftovers, write_file

GAP = 2


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
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="PNG")
        write_file(folder / f"{iteration:08}.png", buffer.getvalue())

    def note(self, message: str) -> None:
        """Ignored."""

    def close(self) -> None:
        """Ignored."""


def grid(values: Tensor) -> NDArray[np.uint8] | None:
    """Arrange images in a grid that is as square as possible.

    Args:
        values: (B, 3, H, W), (B, 1, H, W) or (B, H, W). Values are clamped to 0..1.

    Returns:
        (rows * H, columns * W, 3), plus a gap of two white pixels between images. None: the values are not images.
    """
    if values.dim() == 3:
        values = values.unsqueeze(1)
    if values.dim() != 4 or values.shape[1] not in (1, 3) or not values.is_floating_point():
        return None
    images = values.detach().float().cpu().nan_to_num().clamp(0, 1).mul(255).round().to(torch.uint8)
    images = images.expand(-1, 3, -1, -1)
    count, _, height, width = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, dtype=np.uint8)
    for index, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
        top, left = index // columns * (height + GAP), index % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = image
    return sheet
