"""The images of folders and archives, cropped, flipped and rotated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from artschool.components.datasets.sources import find_files, open_files
from artschool.components.datasets.squares import center_square, check_large_enough
from artschool.media.pixels import FORMATS, UNSUPPORTED, Picture, Pixels

Augment = bool | Literal["flip"]
Crop = Literal["random", "middle"]


class Pictures:
    """The images of one or several folders, .zip or .tar files, sorted by path.

    Attributes:
        sources: The folders and archives.
        files: Number of the folder or archive and name of each image.
        remarks: Files that were passed over although they may have been meant.

    Raises:
        DataError: A folder does not exist, or no image is found in it.
    """

    def __init__(self, path: Path | Sequence[Path], owner: str, exclude: Sequence[str] = ()) -> None:
        self.sources = [open_files(one, owner) for one in ([path] if isinstance(path, Path) else path)]
        self.files: list[tuple[int, str]] = []
        self.remarks: list[str] = []
        for number, source in enumerate(self.sources):
            names, remarks = find_files(source, FORMATS, UNSUPPORTED, f"{owner}: no images", exclude)
            self.files += [(number, name) for name in names]
            self.remarks += remarks

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> Picture:
        """Decode an image.

        Raises:
            DataError: It is not an image, damaged, or too large; the message has its path.
        """
        number, name = self.files[index]
        return Picture(self.sources[number].read(name), self.location(index))

    def location(self, index: int) -> str:
        """Return the path of the file, that of the archive included, for errors."""
        number, name = self.files[index]
        return f"{self.sources[number].path}/{name}"

    def name(self, index: int) -> str:
        """Return the name of the file, without folders."""
        return self.files[index][1].rpartition("/")[2]


def random_corner(height: int, width: int, size: int, location: str) -> tuple[int, int]:
    """Return the top and left of a random square.

    Raises:
        DataError: The image is smaller than the square.
    """
    check_large_enough(height, width, size, location)
    return int(torch.randint(height - size + 1, ())), int(torch.randint(width - size + 1, ()))


def random_orientation(augment: Augment) -> tuple[bool, int]:
    """Draw whether to flip (probability 0.5) and the number of quarter turns; `flip` does not rotate."""
    if not augment:
        return False, 0
    flip = bool(torch.rand(()) < 0.5)
    return flip, 0 if augment == "flip" else int(torch.randint(4, ()))


def orient(image: Tensor, orientation: tuple[bool, int]) -> Tensor:
    """Flip (..., H, W) left to right and rotate it by quarter turns."""
    flip, quarters = orientation
    image = image.flip(-1) if flip else image
    return image.rot90(quarters, (-2, -1)) if quarters else image


def orient_pixels(pixels: Pixels, orientation: tuple[bool, int]) -> Pixels:
    """Flip and rotate (H, W, C) as `orient` does. A view: `to_tensor` copies the pixels anyway."""
    flip, quarters = orientation
    pixels = pixels[:, ::-1] if flip else pixels
    return np.rot90(pixels, quarters) if quarters else pixels


def crop_image(picture: Picture, size: int | None, crop: Crop, location: str) -> Pixels:
    """Return a square of `size`: a random one, or the largest center square, reduced. None: the whole image.

    Raises:
        DataError: The image is smaller than the square.
    """
    if size is None:
        return picture.pixels()
    if crop == "middle":
        return center_square(picture.pixels(), size, location)
    top, left = random_corner(picture.height, picture.width, size, location)
    return picture.square(top, left, size)
