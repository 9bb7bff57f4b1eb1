"""Pictures from bytes: decoded safely, cut and shrunk before they become tensors."""

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

from artschool.components.datasets.sources import Source, chosen, open_source
from artschool.errors import DataError

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}
Augment = bool | Literal["flip"]
Crop = Literal["random", "middle"]


class Pictures:
    """The pictures of one or several folders, .zip or .tar files, in the order of their names.

    Raises:
        DataError: A folder is missing, or there is no picture.
    """

    def __init__(self, path: Path | Sequence[Path], owner: str, exclude: Sequence[str] = ()) -> None:
        paths = [path] if isinstance(path, Path) else list(path)
        self._sources = [open_source(one, owner) for one in paths]
        self.files: list[tuple[int, str]] = []
        for number, source in enumerate(self._sources):
            self.files += [(number, name) for name in chosen(source.names, FORMATS, exclude)]
        if not self.files:
            listed = ", ".join(map(str, paths))
            raise DataError(f"{owner}: no picture in {listed}; looked for {', '.join(FORMATS)}")

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> Image.Image:
        """The picture.

        Raises:
            DataError: It is none, damaged or too large; the text has its path.
        """
        number, name = self.files[index]
        source: Source = self._sources[number]
        return decode(source.read(name), f"{source.path}/{name}")

    def name(self, index: int) -> str:
        """The name of the file, without folders."""
        return self.files[index][1].rpartition("/")[2]


def decode(data: bytes, where: str) -> Image.Image:
    """A picture of one of `FORMATS` from its bytes.

    Raises:
        DataError: It is none, damaged, or larger than Pillow's limit of pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=tuple(set(FORMATS.values())))
            image.load()
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{where} is too large: {error}") from error
    except UnidentifiedImageError as error:
        kind = "is empty" if not data else f"is no picture of {', '.join(sorted(set(FORMATS.values())))}"
        raise DataError(f"{where} {kind}") from error
    except Exception as error:  # Pillow's decoders raise whatever they stumble over.
        raise DataError(f"{where} is damaged: {error}") from error
    return image


def to_tensor(image: Image.Image) -> Tensor:
    """A picture as (3, H, W), float32 in 0..1; grey is repeated, transparency is dropped, 16 bits keep their depth."""
    if image.mode.startswith("I"):
        grey = torch.from_numpy(np.array(image).astype(np.float32)) / 65535
        return grey.expand(3, -1, -1).contiguous()
    array = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    return torch.from_numpy(array).permute(2, 0, 1).contiguous().float().div_(255)


def corner(height: int, width: int, size: int, name: str) -> tuple[int, int]:
    """Top and left of a random square.

    Raises:
        DataError: The picture is smaller.
    """
    if min(height, width) < size:
        raise DataError(f"{name} is {width} x {height}, smaller than a patch of {size}")
    return int(torch.randint(height - size + 1, ())), int(torch.randint(width - size + 1, ()))


def random_turn(augment: Augment) -> tuple[bool, int]:
    """Whether to flip, half of the time, and by how many quarters to turn; `flip` turns by none."""
    if not augment:
        return False, 0
    flip = bool(torch.rand(()) < 0.5)
    return flip, 0 if augment == "flip" else int(torch.randint(4, ()))


def turned(image: Tensor, turn: tuple[bool, int]) -> Tensor:
    """(..., H, W) flipped left to right and turned by quarters."""
    flip, quarters = turn
    image = image.flip(-1) if flip else image
    return image.rot90(quarters, (-2, -1)) if quarters else image


def cut(image: Image.Image, size: int | None, crop: Crop, name: str) -> Image.Image:
    """A square of `size`: a random one, or the largest in the middle, shrunk. The whole picture without a size.

    Raises:
        DataError: The picture is smaller.
    """
    if size is None:
        return image
    width, height = image.size
    if crop == "random":
        top, left = corner(height, width, size, name)
        return image.crop((left, top, left + size, top + size))
    return middle(image, size)


def middle(image: Image.Image, size: int) -> Image.Image:
    """The largest square in the middle, resized by averaging (as OpenCV's area mode when it shrinks)."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    if image.mode not in ("RGB", "L") and not image.mode.startswith("I"):
        image = image.convert("RGB")  # A palette cannot be averaged.
    return image.crop(box) if side == size else image.resize((size, size), Image.Resampling.BOX, box=box)
