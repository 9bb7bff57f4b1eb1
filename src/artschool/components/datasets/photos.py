"""Real photographs that ship inside the wheels of scikit-image and scikit-learn: nothing is downloaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

from PIL import Image
from torch import Tensor

from artschool.components.datasets.pairs import Pair, make_pair, random_patch
from artschool.components.datasets.pictures import to_tensor
from artschool.errors import DataError, ResourceError
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


@datasets.register
class PhotoPatches:
    """Random patches of eight photographs of scikit-image.

    Args:
        size: Side of `hq` in pixels.
        scale: How many times smaller `lq` is.
        count: Samples in an epoch.
        augment: Whether patches are flipped and turned at random.

    Raises:
        ResourceError: scikit-image is not installed.
    """

    def __init__(self, *, size: Count = 64, scale: Count = 2, count: Count = 1024, augment: bool = True) -> None:
        if size % scale:
            raise DataError(f"photo_patches: size {size} is no multiple of scale {scale}")
        self._size, self._scale, self._count, self._augment = size, scale, count, augment
        self._photos = load_photos("train")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Pair:
        names = list(self._photos)
        name = names[index % len(names)]
        patch = random_patch(self._photos[name], self._size, augment=self._augment, name=name)
        return make_pair(patch, self._scale, name)


@datasets.register
class Photos:
    """Whole photographs: `val` has scikit-learn's two, `train` the eight that `photo_patches` cuts from.

    Args:
        split: `val` for scikit-learn's two, `train` for scikit-image's eight.
        scale: How many times smaller `lq` is.

    Raises:
        ResourceError: The package that ships them is not installed.
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
    """Name to (3, H, W) in 0..1.

    Raises:
        ResourceError: The package is not installed, or no longer ships a file.
    """
    names, package, folder = (TRAIN, "skimage", "data") if split == "train" else (VAL, "sklearn", "datasets/images")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ResourceError(
            f"these photographs ship with {package}, which is not installed: pip install 'artschool[demo]'"
        )
    photos = {}
    for name in names:
        path = Path(spec.origin).parent / folder / name
        if not path.is_file():
            raise ResourceError(f"{path} is not there: this release of {package} does not ship {name}")
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            photos[name] = to_tensor(image)
    return photos
