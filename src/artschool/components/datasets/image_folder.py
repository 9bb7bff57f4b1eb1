"""Folders of images."""

from __future__ import annotations

from pathlib import Path

from artschool.components.datasets.corruptions import Corruptions
from artschool.components.datasets.pairs import Corrupted, Degradation, in_values
from artschool.components.datasets.pictures import (
    Augment,
    Crop,
    Pictures,
    crop_image,
    orient_pixels,
    random_orientation,
)
from artschool.media.pixels import to_tensor
from artschool.registry import datasets
from artschool.registry.signature import Count


@datasets.register(values=in_values)
class ImageFolder:
    """All images in a folder, sorted by path, each with a version that is `scale` times smaller.

    Args:
        path: Folder, .zip or .tar of images, searched recursively for PNG, JPEG, WebP, TIFF and BMP, or a list
            of them.
        size: Side of a square patch in pixels. null: whole images, which need `batch_size: 1` unless all have one size.
        crop: Patch of an image: `random` cuts a square of `size` at random, `middle` reduces the largest center square
            to `size`. Ignored without `size`. Smaller images cannot be read.
        scale: Factor by which `lq` is smaller than `hq`, 1 or more.
        augment: Whether patches are flipped and rotated by quarter turns at random; `flip` only flips left to right.
        corruptions: Corruptions of `lq`, described in docs/data.md. null: none.
        values: Values of black and white in `lq` and `hq`, such as `[-1, 1]`.
        exclude: Patterns of file names to leave out, such as `ref.*`. null: none.

    Raises:
        DataError: The folder does not exist or contains no image.
    """

    def __init__(
        self,
        *,
        path: Path | list[Path],
        size: Count | None = None,
        crop: Crop = "random",
        scale: Count = 1,
        augment: Augment = False,
        corruptions: Corruptions | None = None,
        values: tuple[float, float] = (0.0, 1.0),
        exclude: list[str] | None = None,
    ) -> None:
        self._pictures = Pictures(path, "image_folder", exclude or [])
        self.remarks = self._pictures.remarks
        self._size, self._crop, self._augment = size, crop, augment
        self._degrade = Degradation(scale, corruptions, values)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Corrupted:
        name = self._pictures.name(index)
        image = crop_image(self._pictures.read(index), self._size, self._crop, self._pictures.location(index))
        return self._degrade(to_tensor(orient_pixels(image, random_orientation(self._augment))), name)
