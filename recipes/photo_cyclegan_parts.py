"""Patches of two sets of photographs, and the fading of colors in one of them."""

from __future__ import annotations

from typing import Literal, TypedDict

import torch
from torch import Tensor

from artschool import datasets, injectors
from artschool.components.datasets.pairs import random_patch
from artschool.components.datasets.photos import load_photos

PHOTOGRAPHS = {
    "vivid": ("astronaut.png", "chelsea.png", "grass.png", "motorcycle_left.png"),
    "faded": ("brick.png", "camera.png", "coffee.png", "rocket.jpg"),
}
"""No photograph is in both sets."""


class Patch(TypedDict):
    """`image` (3, size, size) in 0..1."""

    image: Tensor


@datasets.register
class UnpairedPatches:
    """Random patches of four photographs of scikit-image, as they are or faded; the two sets share no photograph.

    Args:
        tones: Set of the photographs. `faded`: they are faded by `fade`.
        size: Side of a patch in pixels.
        count: Number of samples per epoch.
    """

    def __init__(self, *, tones: Literal["vivid", "faded"], size: int = 48, count: int = 1024) -> None:
        photos = load_photos("train")
        self.photos = {name: fade(photos[name]) if tones == "faded" else photos[name] for name in PHOTOGRAPHS[tones]}
        self.size, self.count = size, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Patch:
        name = list(self.photos)[index % len(self.photos)]
        return {"image": random_patch(self.photos[name], self.size, augment=True, name=name)}


@injectors.register
def fade(image: Tensor) -> Tensor:
    """Change colors as in an old print: less saturation and contrast, and a yellow tint.

    Args:
        image: (..., 3, H, W) in 0..1.

    Returns:
        The shape of `image`, in 0..1.
    """
    gray = image.mean(-3, keepdim=True)
    white = torch.tensor([0.95, 0.85, 0.65], device=image.device)[:, None, None]
    black = torch.tensor([0.25, 0.18, 0.12], device=image.device)[:, None, None]
    return black + (white - black) * (0.6 * image + 0.4 * gray)
