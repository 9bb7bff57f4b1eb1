"""Photographs that are included in scikit-image and scikit-learn; nothing is downloaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

from torch import Tensor

from artschool.components.datasets.pairs import Pair, check_size, in_values, make_pair, random_patch
from artschool.components.datasets.sources import read_bytes
from artschool.errors import ResourceError
from artschool.media.pixels import decode, to_tensor
from artschool.paths import is_file
from artschool.registry import datasets
from artschool.registry.signature import Count

TRAIN = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "grass.png",
    "motorcycle_left.png",
    "rocket.jpg",
)
VAL = ("china.jpg", "flower.jpg")


@datasets.register(values=in_values)
class PhotoPatches:
    """Random patches of eight photographs of scikit-image.

    Args:
        size: Side of `hq` in pixels, a multiple of `scale`.
        scale: Factor by which `lq` is smaller than `hq`, 1 or more.
        count: Number of samples per epoch, 1 or more.
        augment: Whether patches are flipped and rotated by quarter turns at random.

    Raises:
        ResourceError: scikit-image is not installed.
        DataError: `size` is not a multiple of `scale`.
    """

    def __init__(self, *, size: Count = 64, scale: Count = 2, count: Count = 1024, augment: bool = True) -> None:
        check_size(size, scale, "photo_patches")
        self._size, self._scale, self._count, self._augment = size, scale, count, augment
        self._photos = load_photos("train")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Pair:
        names = list(self._photos)
        name = names[index % len(names)]
        patch = random_patch(self._photos[name], self._size, augment=self._augment, name=name)
        return make_pair(patch, self._scale, name)


@datasets.register(values=in_values)
class Photos:
    """Whole photographs: `val` has two of scikit-learn, `train` the eight that `photo_patches` uses.

    Args:
        split: Photographs to use: `val` for the two of scikit-learn, `train` for the eight of scikit-image.
        scale: Factor by which `lq` is smaller than `hq`, 1 or more.

    Raises:
        ResourceError: The package that includes the photographs is not installed.
    """

    def __init__(self, *, split: Literal["train", "val"] = "val", scale: Count = 2) -> None:
        self._photos = list(load_photos(split).items())
        self._scale = scale

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> Pair:
        name, photo = self._photos[index]
        return make_pair(photo, self._scale, name)


def load_photos(split: str) -> dict[str, Tensor]:
    """Load the photographs of a split: name to (3, H, W) in 0..1.

    Raises:
        ResourceError: The package is not installed, or does not include a file.
    """
    names, package, folder = (TRAIN, "skimage", "data") if split == "train" else (VAL, "sklearn", "datasets/images")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ResourceError(
            f"these photographs require {package}, which is not installed. Fix: pip install 'artschool[demo]'"
        )
    photos = {}
    for name in names:
        path = Path(spec.origin).parent / folder / name
        if not is_file(path):
            raise ResourceError(
                f"{path} does not exist: this release of {package} does not include {name}. Fix: install another one"
            )
        photos[name] = to_tensor(decode(read_bytes(str(path)), str(path)))
    return photos
