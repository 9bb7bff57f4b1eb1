"""What data sets of whole images do to each of them: crop, flip, set channels and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from artschool.components.datasets.pairs import UNIT
from artschool.components.datasets.pictures import (
    Augment,
    Crop,
    Pictures,
    crop_image,
    orient_pixels,
    random_orientation,
)
from artschool.media.pixels import to_tensor
from artschool.registry.ranges import Known, Ranges

Channels = Literal[1, 3]


def image_in_values(known: Known) -> Ranges:
    """`image` has the range of the option `values`, 0..1 without one."""
    black, white = known.options.get("values", UNIT)
    return {"image": (min(black, white), max(black, white))}


@dataclass(frozen=True)
class View:
    """How an image becomes a tensor.

    Attributes:
        size: Side of a square in pixels. None: the whole image.
        crop: Which square of the image.
        augment: Whether it is flipped and rotated at random.
        channels: 3 for red, green and blue, 1 for the mean over them.
        values: Values of black and white.
    """

    size: int | None
    crop: Crop
    augment: Augment
    channels: Channels
    values: tuple[float, float]

    def of(self, pictures: Pictures, index: int) -> Tensor:
        """Read an image as (C, H, W).

        Raises:
            DataError: It cannot be read, or is smaller than `size`.
        """
        pixels = crop_image(pictures.read(index), self.size, self.crop, pictures.location(index))
        image = to_tensor(orient_pixels(pixels, random_orientation(self.augment)))
        image = image.mean(0, keepdim=True) if self.channels == 1 else image
        low, high = self.values
        return image if self.values == UNIT else image * (high - low) + low
