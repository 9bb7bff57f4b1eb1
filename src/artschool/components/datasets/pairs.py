"""Pictures with their own small versions, for super-resolution: what every data set of such pairs shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.datasets.corruptions import Corruptions
from artschool.components.datasets.pictures import corner, random_turn, turned


class Pair(TypedDict):
    """`hq` (3, H, W) and `lq` (3, H / scale, W / scale), float32 in 0..1, and the picture's name."""

    lq: Tensor
    hq: Tensor
    name: str


class Corrupted(Pair):
    """A pair whose `lq` may be damaged, with the severity of each fixed corruption, (their number,), in 0..1."""

    corruption_entropy: Tensor


@dataclass(frozen=True)
class Degradation:
    """Makes `lq` of a clean picture, and puts both into a range of values.

    Attributes:
        scale: How many times smaller `lq` is.
        values: What black and white become.
    """

    scale: int
    corruptions: Corruptions | None = None
    values: tuple[float, float] = (0.0, 1.0)

    def __call__(self, hq: Tensor, name: str) -> Corrupted:
        """A clean (3, H, W) or frames of it (T, 3, H, W), in 0..1."""
        hq = to_multiple(hq, self.scale)
        lq, severities = self.damaged(hq)
        return {"lq": self.spread(lq), "hq": self.spread(hq), "name": name, "corruption_entropy": severities}

    def damaged(self, hq: Tensor) -> tuple[Tensor, Tensor]:
        """The small damaged version, and the severities of the fixed corruptions."""
        if self.corruptions is None:
            return shrunk(hq, self.scale), torch.empty(*hq.shape[:-3], 0)
        if hq.dim() > 3:
            lqs, severities = zip(*(self.damaged(frame) for frame in hq), strict=True)
            return torch.stack(lqs), torch.stack(severities)
        if self.corruptions.before_shrink:
            whole, severity = self.corruptions.apply(hq)
            return shrunk(whole, self.scale), severity
        return self.corruptions.apply(shrunk(hq, self.scale))

    def spread(self, image: Tensor) -> Tensor:
        """0..1 to the range of values."""
        low, high = self.values
        return image if (low, high) == (0, 1) else image * (high - low) + low


def make_pair(hq: Tensor, scale: int, name: str) -> Pair:
    """Crop to a multiple of `scale` and shrink by antialiased bicubic interpolation."""
    hq = to_multiple(hq, scale)
    return {"lq": shrunk(hq, scale), "hq": hq, "name": name}


def to_multiple(image: Tensor, scale: int) -> Tensor:
    """Leave out the last rows and columns of (..., H, W) that make no multiple of `scale`."""
    height, width = (side // scale * scale for side in image.shape[-2:])
    return image[..., :height, :width].contiguous()


def shrunk(image: Tensor, scale: int) -> Tensor:
    """(..., 3, H, W) in 0..1 to (..., 3, H / scale, W / scale) by antialiased bicubic interpolation; always a copy."""
    if scale == 1:
        return image.clone()
    height, width = image.shape[-2:]
    flat = image.reshape(-1, *image.shape[-3:])
    small = F.interpolate(flat, size=(height // scale, width // scale), mode="bicubic", antialias=True).clamp(0, 1)
    return small.reshape(*image.shape[:-2], *small.shape[-2:])


def random_patch(image: Tensor, size: int, *, augment: bool, name: str) -> Tensor:
    """A random square of (3, H, W), with `augment` flipped and turned by quarters at random.

    Raises:
        DataError: The picture is smaller than the patch.
    """
    height, width = image.shape[-2:]
    top, left = corner(height, width, size, name)
    return turned(image[:, top : top + size, left : left + size], random_turn(augment))
