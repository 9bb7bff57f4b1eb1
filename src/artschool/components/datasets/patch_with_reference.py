"""A patch together with the whole picture that it was cut from."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from artschool.components.datasets.corruptions import Corruptions
from artschool.components.datasets.pairs import Corrupted, Degradation, shrunk, to_multiple
from artschool.components.datasets.pictures import Pictures, corner, middle, to_tensor
from artschool.errors import DataError
from artschool.registry import datasets
from artschool.registry.signature import Count


class Referenced(Corrupted):
    """A pair with the shrunken picture around it.

    `hq_reference` is (4, size, size) and `lq_reference` (4, size / scale, size / scale): the middle square of the
    picture, and a mask that is 1 where the patch lies. `hq_center` and `lq_center`, (2,), are row and column of the
    patch's center in them.
    """

    hq_reference: Tensor
    lq_reference: Tensor
    hq_center: Tensor
    lq_center: Tensor


@datasets.register
class PatchWithReference:
    """Random patches of the middle squares of pictures, each with the whole square, shrunk to the patch's size.

    Args:
        path: A folder, a .zip or a .tar of pictures, or a list of them.
        size: Side of a patch in pixels, a multiple of `scale`.
        scale: How many times smaller `lq` is.
        corruptions: What damages `lq`; see docs/data.md.

    Raises:
        DataError: There is no such folder, no picture in it, or one is smaller than a patch.
    """

    def __init__(
        self, *, path: Path | list[Path], size: Count, scale: Count = 1, corruptions: Corruptions | None = None
    ) -> None:
        if size % scale:
            raise DataError(f"patch_with_reference: size {size} is no multiple of scale {scale}")
        self._pictures = Pictures(path, "patch_with_reference")
        self._size, self._scale = size, scale
        self._degrade = Degradation(scale, corruptions)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Referenced:
        name, size = self._pictures.name(index), self._size
        picture = self._pictures.read(index)
        side = min(picture.size)
        square = middle(picture, side)
        top, left = corner(side, side, size, name)
        pair = self._degrade(to_tensor(square.crop((left, top, left + size, top + size))), name)
        whole = to_tensor(middle(square, size))
        mask = torch.zeros(1, size, size)
        start, stop = (
            [round(edge * size / side) for edge in corner] for corner in ((top, left), (top + size, left + size))
        )
        mask[:, start[0] : stop[0], start[1] : stop[1]] = 1
        center = torch.tensor([(top + size / 2) * size / side, (left + size / 2) * size / side])
        return {
            **pair,
            "hq_reference": torch.cat([whole, mask]),
            "lq_reference": torch.cat(
                [shrunk(to_multiple(whole, self._scale), self._scale), mask[:, :: self._scale, :: self._scale]]
            ),
            "hq_center": center.long(),
            "lq_center": (center / self._scale).long(),
        }
