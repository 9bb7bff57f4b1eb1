"""An image as a tree of crops: the whole, its quarters, the quarters of those."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.datasets.corruptions import Corruptions
from artschool.components.datasets.pairs import Corrupted, Degradation, check_size, in_values, shrink
from artschool.components.datasets.pictures import (
    Augment,
    Pictures,
    orient,
    random_orientation,
)
from artschool.components.datasets.squares import center_square
from artschool.media.pixels import to_tensor
from artschool.registry import datasets
from artschool.registry.signature import Count


@datasets.register(values=in_values)
class CropTree:
    """Crop trees of images: squares of one size at several zoom levels.

    Level 0 is the center square of the image, reduced to `size`; level k is that square at 2**k times this size, cut
    into 2**k by 2**k parts. `hq` is (N, 3, size, size) with N = (4**levels - 1) / 3, ordered by level, row and column:
    the parts of a square of level k are those at twice its row and column in level k + 1. Corruptions apply to the
    whole image. An image that is smaller than `size` * 2**(`levels` - 1) cannot be read, since nothing is enlarged.

    Args:
        path: Folder, .zip or .tar of images, searched recursively, or a list of them.
        size: Side of a square in pixels, a multiple of `scale`.
        levels: Number of zoom levels, 1 or more. 1: the whole center square only.
        scale: Factor by which `lq` is smaller than `hq`, 1 or more.
        augment: Whether images are flipped and rotated by quarter turns at random; `flip` only flips left to right.
        corruptions: Corruptions of `lq`, described in docs/data.md. null: none.

    Raises:
        DataError: The folder does not exist or contains no image.
    """

    def __init__(
        self,
        *,
        path: Path | list[Path],
        size: Count,
        levels: Count = 3,
        scale: Count = 1,
        augment: Augment = False,
        corruptions: Corruptions | None = None,
    ) -> None:
        check_size(size, scale, "crop_tree")
        self._pictures = Pictures(path, "crop_tree")
        self.remarks = self._pictures.remarks
        self._size, self._levels, self._scale, self._augment = size, levels, scale, augment
        self._degrade = Degradation(1, corruptions)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Corrupted:
        name = self._pictures.name(index)
        size, location = self._size * 2 ** (self._levels - 1), self._pictures.location(index)
        whole = to_tensor(center_square(self._pictures.read(index).pixels(), size, location))
        sample = self._degrade(orient(whole, random_orientation(self._augment)), name)
        return {**sample, "hq": self._tree(sample["hq"]), "lq": shrink(self._tree(sample["lq"]), self._scale)}

    def _tree(self, image: Tensor) -> Tensor:
        """(3, S, S) to (N, 3, size, size)."""
        squares = []
        for level in range(self._levels):
            zoomed = F.interpolate(image[None], size=(self._size << level,) * 2, mode="area")[0]
            rows = zoomed.unfold(1, self._size, self._size).unfold(2, self._size, self._size)
            squares.append(rows.permute(1, 2, 0, 3, 4).flatten(0, 1))
        return torch.cat(squares)
