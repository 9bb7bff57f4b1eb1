"""Image patches together with the image that they are cut from."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from artschool.components.datasets.corruptions import Corruptions
from artschool.components.datasets.pairs import Corrupted, Degradation, check_size, in_values, shrink
from artschool.components.datasets.pictures import Pictures, random_corner
from artschool.components.datasets.squares import center_square
from artschool.media.pixels import to_tensor
from artschool.registry import datasets
from artschool.registry.signature import Count


class Referenced(Corrupted):
    """A pair of patches, with the downscaled image that surrounds them.

    `hq_reference` is (4, size, size) and `lq_reference` (4, size / scale, size / scale): the center square of the
    image, and a mask that is 1 inside the patch. `hq_center` and `lq_center`, (2,), are the row and column of the
    patch's center in them.
    """

    hq_reference: Tensor
    lq_reference: Tensor
    hq_center: Tensor
    lq_center: Tensor


@datasets.register(values=in_values)
class PatchWithReference:
    """Random patches of the center squares of images, each with the whole square resized to the patch's size.

    Args:
        path: Folder, .zip or .tar of images, searched recursively, or a list of them.
        size: Side of a patch in pixels, a multiple of `scale`.
        scale: Factor by which `lq` is smaller than `hq`, 1 or more.
        corruptions: Corruptions of `lq`, described in docs/data.md. null: none.

    Raises:
        DataError: The folder does not exist or contains no image, or an image is smaller than a patch.
    """

    def __init__(
        self, *, path: Path | list[Path], size: Count, scale: Count = 1, corruptions: Corruptions | None = None
    ) -> None:
        check_size(size, scale, "patch_with_reference")
        self._pictures = Pictures(path, "patch_with_reference")
        self.remarks = self._pictures.remarks
        self._size, self._scale = size, scale
        self._degrade = Degradation(scale, corruptions)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Referenced:
        name, size = self._pictures.name(index), self._size
        pixels, location = self._pictures.read(index).pixels(), self._pictures.location(index)
        side = min(pixels.shape[:2])
        square = center_square(pixels, side, location)
        top, left = random_corner(side, side, size, location)
        pair = self._degrade(to_tensor(square[top : top + size, left : left + size]), name)
        whole = to_tensor(center_square(square, size, location))
        mask = torch.zeros(1, size, size)
        start, stop = (
            [round(edge * size / side) for edge in corner] for corner in ((top, left), (top + size, left + size))
        )
        mask[:, start[0] : stop[0], start[1] : stop[1]] = 1
        center = torch.tensor([(top + size / 2) * size / side, (left + size / 2) * size / side])
        return {
            **pair,
            "hq_reference": torch.cat([whole, mask]),
            "lq_reference": torch.cat([shrink(whole, self._scale), mask[:, :: self._scale, :: self._scale]]),
            "hq_center": center.long(),
            "lq_center": (center / self._scale).long(),
        }
