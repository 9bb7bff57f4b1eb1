"""Clean images and their small or degraded versions, in two folders."""

from __future__ import annotations

from pathlib import Path

from artschool.components.datasets.pairing import Side, pair_by_name
from artschool.components.datasets.pairs import Pair, check_size, in_values
from artschool.components.datasets.pictures import (
    Augment,
    Pictures,
    orient_pixels,
    random_corner,
    random_orientation,
)
from artschool.errors import DataError
from artschool.media.pixels import to_tensor
from artschool.registry import datasets
from artschool.registry.signature import Count


@datasets.register(values=in_values)
class ImagePairs:
    """Pairs of images that have the same path, without the extension, in two folders.

    Args:
        lq: Folder, .zip or .tar of the small or degraded images.
        hq: Folder, .zip or .tar of the clean images, with the same names as in `lq`.
        size: Side of a random square patch of `hq` in pixels, a multiple of `scale`; `lq` is cut at the same position.
            null: whole images.
        scale: Factor by which `hq` is larger than `lq`, 1 or more.
        augment: Whether both images are flipped and rotated by quarter turns at random, in the same way; `flip` only
            flips left to right.
        suffixes: What the names in `lq` and those in `hq` have before the extension and not in common, such as
            `[x2, ""]` for `0801x2.png` and `0801.png`.

    Raises:
        DataError: A folder does not exist or is empty, or an image has no counterpart, or two.
    """

    def __init__(
        self,
        *,
        lq: Path,
        hq: Path,
        size: Count | None = None,
        scale: Count = 1,
        augment: Augment = False,
        suffixes: tuple[str, str] = ("", ""),
    ) -> None:
        self._lq, self._hq = Pictures(lq, "image_pairs"), Pictures(hq, "image_pairs")
        self.remarks = [*self._lq.remarks, *self._hq.remarks]
        sides = [
            Side(str(path), [name for _, name in pictures.files], suffix)
            for path, pictures, suffix in zip((lq, hq), (self._lq, self._hq), suffixes, strict=True)
        ]
        self._pairs = pair_by_name(sides[0], sides[1], "image_pairs")
        if size is not None:
            check_size(size, scale, "image_pairs")
        self._size, self._scale, self._augment = size, scale, augment

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Pair:
        small, large = self._pairs[index]
        lq, hq, scale = self._lq.read(small), self._hq.read(large), self._scale
        height, width = lq.height, lq.width
        if (hq.height, hq.width) != (height * scale, width * scale):
            raise DataError(
                f"{self._hq.location(large)}: expected {width * scale} x {height * scale}, {scale} times the "
                f"size of its lq, got {hq.width} x {hq.height}. Fix: correct `scale`, or resize the image"
            )
        if self._size is None:
            pixels = lq.pixels(), hq.pixels()
        else:
            side = self._size // scale
            top, left = random_corner(height, width, side, self._lq.location(small))
            pixels = lq.square(top, left, side), hq.square(top * scale, left * scale, self._size)
        orientation = random_orientation(self._augment)
        return {
            "lq": to_tensor(orient_pixels(pixels[0], orientation)),
            "hq": to_tensor(orient_pixels(pixels[1], orientation)),
            "name": self._hq.name(large),
        }
