"""Pictures with their own small versions, for super-resolution: what every data set of such pairs shares."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from artschool.errors import DataError


class Pair(TypedDict):
    """`hq` (3, H, W) and `lq` (3, H / scale, W / scale), float32 in 0..1, and the picture's name."""

    lq: Tensor
    hq: Tensor
    name: str


def to_tensor(image: Image.Image) -> Tensor:
    """A picture as (3, H, W), float32 in 0..1; grey is repeated, transparency is dropped."""
    return torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1).float() / 255


def make_pair(hq: Tensor, scale: int, name: str) -> Pair:
    """Crop to a multiple of `scale` and shrink by antialiased bicubic interpolation."""
    height, width = (side // scale * scale for side in hq.shape[-2:])
    hq = hq[..., :height, :width].contiguous()
    if scale == 1:
        return {"lq": hq.clone(), "hq": hq, "name": name}
    small = F.interpolate(hq[None], size=(height // scale, width // scale), mode="bicubic", antialias=True)
    return {"lq": small[0].clamp(0, 1), "hq": hq, "name": name}


def random_patch(image: Tensor, size: int, *, augment: bool, name: str) -> Tensor:
    """A random square of (3, H, W), with `augment` flipped and turned by quarters at random.

    Raises:
        DataError: The picture is smaller than the patch.
    """
    height, width = image.shape[-2:]
    if min(height, width) < size:
        raise DataError(f"{name} is {width} x {height}, smaller than a patch of {size}")
    top = int(torch.randint(height - size + 1, ()))
    left = int(torch.randint(width - size + 1, ()))
    patch = image[:, top : top + size, left : left + size]
    if augment:
        patch = patch.flip(-1) if torch.rand(()) < 0.5 else patch
        patch = patch.rot90(int(torch.randint(4, ())), (-2, -1))
    return patch
