"""Clean images and their small or degraded versions, in two folders."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path, PurePosixPath

from artschool.components.datasets.pairs import Pair, check_size, in_values
from artschool.components.datasets.pictures import (
    Augment,
    Pictures,
    orient,
    random_corner,
    random_orientation,
    to_tensor,
)
from artschool.errors import DataError
from artschool.registry import datasets
from artschool.registry.signature import Count


@datasets.register(values=in_values)
class ImagePairs:
    """Pairs of images that have the same path, without the extension, in two folders.

    Args:
        lq: Folder, .zip or .tar of the small or degraded images.
        hq: Folder, .zip or .tar of the clean images, with the same names as in `lq`.
        size: Side of a random square patch of `hq` in pixels, a multiple of `scale`; `lq` is cut at the same position.
            null: whole images.
        scale: Factor by which `hq` is larger than `lq`, 1 or more.
        augment: Whether both images are flipped and rotated by quarter turns at random, in the same way; `flip` only
            flips left to right.

    Raises:
        DataError: A folder does not exist or is empty, or an image has no counterpart.
    """

    def __init__(
        self, *, lq: Path, hq: Path, size: Count | None = None, scale: Count = 1, augment: Augment = False
    ) -> None:
        self._lq, self._hq = Pictures(lq, "image_pairs"), Pictures(hq, "image_pairs")
        _check_names(_names(self._lq), _names(self._hq), lq, hq)
        if size is not None:
            check_size(size, scale, "image_pairs")
        self._size, self._scale, self._augment = size, scale, augment

    def __len__(self) -> int:
        return len(self._hq)

    def __getitem__(self, index: int) -> Pair:
        lq, hq, name, scale = self._lq.read(index), self._hq.read(index), self._hq.name(index), self._scale
        if (lq.width * scale, lq.height * scale) != hq.size:
            raise DataError(
                f"{self._hq.location(index)}: expected {lq.width * scale} x {lq.height * scale}, {scale} times the "
                f"size of its lq, got {hq.width} x {hq.height}. Fix: correct `scale`, or resize the image"
            )
        if self._size is not None:
            small = self._size // scale
            top, left = random_corner(lq.height, lq.width, small, self._lq.location(index))
            lq = lq.crop((left, top, left + small, top + small))
            hq = hq.crop((left * scale, top * scale, left * scale + self._size, top * scale + self._size))
        orientation = random_orientation(self._augment)
        return {"lq": orient(to_tensor(lq), orientation), "hq": orient(to_tensor(hq), orientation), "name": name}


def _names(pictures: Pictures) -> list[str]:
    """The paths of the images without their extensions, sorted."""
    return sorted(str(PurePosixPath(name).with_suffix("")) for _, name in pictures.files)


def _check_names(lq_names: list[str], hq_names: list[str], lq: Path, hq: Path) -> None:
    if unpaired := sorted(set(lq_names) ^ set(hq_names)):
        found, missing = (lq, hq) if unpaired[0] in lq_names else (hq, lq)
        raise DataError(
            f"image_pairs: {unpaired[0]!r} has no counterpart (expected in both folders, got it in {found}, not in "
            f"{missing}). Fix: add or remove the image"
        )
    if len(lq_names) != len(hq_names):
        names = lq_names if len(lq_names) > len(hq_names) else hq_names
        duplicate = next(name for name, after in pairwise(names) if name == after)
        raise DataError(
            f"image_pairs: {lq if names is lq_names else hq}: duplicate image {duplicate!r} (expected one extension, "
            "got several). Fix: remove all but one"
        )
