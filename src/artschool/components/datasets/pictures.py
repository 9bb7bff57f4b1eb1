"""Images from bytes: decoded safely, cropped and resized before they become tensors."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from artschool.components.datasets.sources import FileSource, open_files, select_names
from artschool.errors import DataError

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}
Augment = bool | Literal["flip"]
Crop = Literal["random", "middle"]
REMOVE = "Fix: replace the file or remove it"


class Pictures:
    """The images of one or several folders, .zip or .tar files, sorted by path.

    Raises:
        DataError: A folder does not exist, or no image is found.
    """

    def __init__(self, path: Path | Sequence[Path], owner: str, exclude: Sequence[str] = ()) -> None:
        paths = [path] if isinstance(path, Path) else list(path)
        self._sources = [open_files(one, owner) for one in paths]
        self.files: list[tuple[int, str]] = []
        for number, source in enumerate(self._sources):
            self.files += [(number, name) for name in select_names(source.names, FORMATS, exclude)]
        if not self.files:
            listed = ", ".join(map(str, paths))
            raise DataError(
                f"{owner}: no images in {listed} (expected {', '.join(FORMATS)}). Fix: add some or correct the path"
            )

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> Image.Image:
        """Decode an image.

        Raises:
            DataError: It is not an image, damaged, or too large; the message has its path.
        """
        number, name = self.files[index]
        source: FileSource = self._sources[number]
        return decode(source.read(name), self.location(index))

    def location(self, index: int) -> str:
        """Return the path of the file, that of the archive included, for errors."""
        number, name = self.files[index]
        return f"{self._sources[number].path}/{name}"

    def name(self, index: int) -> str:
        """Return the name of the file, without folders."""
        return self.files[index][1].rpartition("/")[2]


def decode(data: bytes, location: str) -> Image.Image:
    """Decode the bytes of an image in one of `FORMATS`.

    Raises:
        DataError: It is not an image, damaged, or larger than Pillow's limit of pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=tuple(set(FORMATS.values())))
            image.load()
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{location}: image is too large: {error} {REMOVE}") from error
    except UnidentifiedImageError as error:
        formats, found = ", ".join(sorted(set(FORMATS.values()))), "another format" if data else "an empty file"
        raise DataError(f"{location}: expected an image ({formats}), got {found}. {REMOVE}") from error
    except Exception as error:  # Pillow's decoders raise exceptions of many types.
        raise DataError(f"{location}: image is damaged: {error}. {REMOVE}") from error
    return image


def to_tensor(image: Image.Image) -> Tensor:
    """Convert to (3, H, W), float32 in 0..1: grey is repeated, transparency dropped, 16 bits keep their depth."""
    if image.mode.startswith("I"):
        grey = torch.from_numpy(np.array(image).astype(np.float32)) / 65535
        return grey.expand(3, -1, -1).contiguous()
    array = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    return torch.from_numpy(array).permute(2, 0, 1).contiguous().float().div_(255)


def random_corner(height: int, width: int, size: int, location: str) -> tuple[int, int]:
    """Return the top and left of a random square.

    Raises:
        DataError: The image is smaller than the square.
    """
    if min(height, width) < size:
        raise DataError(
            f"{location}: image is smaller than a patch (expected at least {size} x {size}, got {width} x {height}). "
            "Fix: lower `size`, or remove the image"
        )
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


def crop_image(image: Image.Image, size: int | None, crop: Crop, location: str) -> Image.Image:
    """Return a square of `size`: a random one, or the largest center square, resized. None: the whole image.

    Raises:
        DataError: The image is smaller than a random square.
    """
    if size is None:
        return image
    width, height = image.size
    if crop == "random":
        top, left = random_corner(height, width, size, location)
        return image.crop((left, top, left + size, top + size))
    return center_square(image, size)


def center_square(image: Image.Image, size: int) -> Image.Image:
    """Return the largest center square, resized by averaging (as OpenCV's area mode when it shrinks)."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    if image.mode not in ("RGB", "L") and not image.mode.startswith("I"):
        image = image.convert("RGB")  # A palette cannot be averaged.
    return image.crop(box) if side == size else image.resize((size, size), Image.Resampling.BOX, box=box)
