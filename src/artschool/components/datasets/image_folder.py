"""A folder of your own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from PIL import Image
from pydantic import Field

from artschool.components.datasets.pairs import Pair, make_pair, random_patch, to_tensor
from artschool.errors import DataError
from artschool.registry import datasets

Count = Annotated[int, Field(ge=1)]
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}


@datasets.register
class ImageFolder:
    """Every picture below a folder, in the order of their names, with a version `scale` times smaller.

    Args:
        path: The folder; PNG, JPEG, WebP and BMP files anywhere below it.
        size: Side of a random patch in pixels; whole pictures without it, which then need `batch_size: 1` unless all
            have one size.
        scale: How many times smaller `lq` is.
        augment: Whether patches are flipped and turned at random.

    Raises:
        DataError: There is no such folder, or no picture in it.
    """

    def __init__(self, *, path: Path, size: Count | None = None, scale: Count = 1, augment: bool = False) -> None:
        if not path.is_dir():
            raise DataError(f"image_folder: there is no folder {path}")
        self._files = sorted(file for file in path.rglob("*") if file.suffix.lower() in FORMATS)
        if not self._files:
            raise DataError(f"image_folder: no picture in {path}; looked for {', '.join(FORMATS)}")
        self._size, self._scale, self._augment = size, scale, augment

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Pair:
        file = self._files[index]
        with Image.open(file, formats=tuple(set(FORMATS.values()))) as image:
            picture = to_tensor(image)
        if self._size is not None:
            picture = random_patch(picture, self._size, augment=self._augment, name=str(file))
        return make_pair(picture, self._scale, file.name)
