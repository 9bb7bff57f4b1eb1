"""Images with their small versions, for super-resolution: the part that all such data sets share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.datasets.corruptions import Corruptions
from artschool.components.datasets.pictures import orient, random_corner, random_orientation
from artschool.errors import DataError
from artschool.registry.ranges import Known, Range, Ranges

UNIT: Range = (0.0, 1.0)


class Pair(TypedDict):
    """A sample: `hq` (3, H, W) and `lq` (3, H / scale, W / scale), float32 in 0..1, and the file name of the image."""

    lq: Tensor
    hq: Tensor
    name: str


class Corrupted(Pair):
    """A pair whose `lq` may be corrupted, with the severity of each fixed corruption, (their number,), in 0..1."""

    corruption_entropy: Tensor


def in_values(known: Known) -> Ranges:
    """`lq` and `hq` have the range of the option `values`, 0..1 without one."""
    black, white = known.options.get("values", UNIT)
    return dict.fromkeys(("lq", "hq"), (min(black, white), max(black, white)))


@dataclass(frozen=True)
class Degradation:
    """Makes `lq` from a clean image, and maps both to a range of values.

    Attributes:
        scale: Factor by which `lq` is smaller than `hq`.
        corruptions: Corruptions of `lq`; None: none.
        values: Values of black and white.
    """

    scale: int
    corruptions: Corruptions | None = None
    values: tuple[float, float] = (0.0, 1.0)

    def __call__(self, hq: Tensor, name: str) -> Corrupted:
        """Make a pair from a clean image (3, H, W), or from frames (T, 3, H, W), in 0..1."""
        hq = to_multiple(hq, self.scale, name)
        lq, severities = self.degrade(hq)
        return {"lq": self.to_values(lq), "hq": self.to_values(hq), "name": name, "corruption_entropy": severities}

    def degrade(self, hq: Tensor) -> tuple[Tensor, Tensor]:
        """Return the small corrupted version, and the severities of the fixed corruptions."""
        if self.corruptions is None:
            return shrink(hq, self.scale), torch.empty(*hq.shape[:-3], 0)
        if hq.dim() > 3:
            lqs, severities = zip(*(self.degrade(frame) for frame in hq), strict=True)
            return torch.stack(lqs), torch.stack(severities)
        if self.corruptions.before_shrink:
            whole, severity = self.corruptions.apply(hq)
            return shrink(whole, self.scale), severity
        return self.corruptions.apply(shrink(hq, self.scale))

    def to_values(self, image: Tensor) -> Tensor:
        """Map 0..1 to the range of values."""
        low, high = self.values
        return image if (low, high) == (0, 1) else image * (high - low) + low


def make_pair(hq: Tensor, scale: int, name: str) -> Pair:
    """Crop to a multiple of `scale`, and shrink by antialiased bicubic interpolation."""
    hq = to_multiple(hq, scale, name)
    return {"lq": shrink(hq, scale), "hq": hq, "name": name}


def check_size(size: int, scale: int, owner: str) -> None:
    """Check the size of a patch against the scale.

    Raises:
        DataError: The size is not a multiple of the scale.
    """
    if size % scale:
        raise DataError(
            f"{owner}: size: expected a multiple of scale {scale}, got {size}. Fix: use {-(-size // scale) * scale}"
        )


def to_multiple(image: Tensor, scale: int, name: str) -> Tensor:
    """Remove the last rows and columns of (..., H, W) beyond a multiple of `scale`.

    Raises:
        DataError: Nothing would be left.
    """
    height, width = image.shape[-2:]
    if min(height, width) < scale:
        raise DataError(
            f"{name}: image is smaller than `scale` (expected at least {scale} x {scale}, got {width} x {height}). "
            "Fix: lower `scale`, or remove the image"
        )
    if height % scale or width % scale:
        image = image[..., : height // scale * scale, : width // scale * scale]
    return image.contiguous()


def shrink(image: Tensor, scale: int) -> Tensor:
    """(..., 3, H, W) in 0..1 to (..., 3, H / scale, W / scale) by antialiased bicubic interpolation; always a copy."""
    if scale == 1:
        return image.clone()
    height, width = image.shape[-2:]
    flat = image.reshape(-1, *image.shape[-3:])
    small = F.interpolate(flat, size=(height // scale, width // scale), mode="bicubic", antialias=True).clamp(0, 1)
    return small.reshape(*image.shape[:-2], *small.shape[-2:])


def random_patch(image: Tensor, size: int, *, augment: bool, name: str) -> Tensor:
    """Cut a random square from (3, H, W); with `augment`, flip and rotate it by quarter turns at random.

    Raises:
        DataError: The image is smaller than the patch.
    """
    height, width = image.shape[-2:]
    top, left = random_corner(height, width, size, name)
    return orient(image[:, top : top + size, left : left + size], random_orientation(augment))
