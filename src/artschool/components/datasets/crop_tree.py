"""A picture as a tree of crops: the whole, its quarters, the quarters of those."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.datasets.corruptions import Corruptions
from artschool.components.datasets.pairs import Corrupted, Degradation, shrunk
from artschool.components.datasets.pictures import Augment, Pictures, middle, random_turn, to_tensor, turned
from artschool.errors import DataError
from artschool.registry import datasets
from artschool.registry.signature import Count


@datasets.register
class CropTree:
    """Squares of one size at several zooms.

    Level 0 is the middle square of the picture shrunk to `size`, level k its 2**k by 2**k parts. `hq` is
    (N, 3, size, size) with N = (4**levels - 1) / 3, level by level, each by rows and columns: the parts of square i of
    level k are those at twice its row and column in level k + 1. Damage is done to the whole picture.

    Args:
        path: A folder, a .zip or a .tar of pictures, or a list of them.
        size: Side of a square in pixels, a multiple of `scale`.
        levels: How many zooms there are, from the whole picture on.
        scale: How many times smaller `lq` is.
        augment: Whether pictures are flipped and turned at random; `flip` only flips left to right.
        corruptions: What damages `lq`; see docs/data.md.

    Raises:
        DataError: There is no such folder, or no picture in it.
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
        if size % scale:
            raise DataError(f"crop_tree: size {size} is no multiple of scale {scale}")
        self._pictures = Pictures(path, "crop_tree")
        self._size, self._levels, self._scale, self._augment = size, levels, scale, augment
        self._degrade = Degradation(1, corruptions)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Corrupted:
        name = self._pictures.name(index)
        whole = to_tensor(middle(self._pictures.read(index), self._size * 2 ** (self._levels - 1)))
        sample = self._degrade(turned(whole, random_turn(self._augment)), name)
        return {**sample, "hq": self._tree(sample["hq"]), "lq": shrunk(self._tree(sample["lq"]), self._scale)}

    def _tree(self, image: Tensor) -> Tensor:
        """(3, S, S) to (N, 3, size, size)."""
        squares = []
        for level in range(self._levels):
            zoomed = F.interpolate(image[None], size=(self._size << level,) * 2, mode="area")[0]
            rows = zoomed.unfold(1, self._size, self._size).unfold(2, self._size, self._size)
            squares.append(rows.permute(1, 2, 0, 3, 4).flatten(0, 1))
        return torch.cat(squares)
