"""Images, sequences and volumes resized."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.ranges import same_as
from artschool.registry.signature import Positive

Mode = Literal["nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "area"]


@injectors.register(values=same_as("x"))
def interpolate(
    x: Tensor,
    *,
    scale_factor: Positive | None = None,
    size: int | list[int] | None = None,
    mode: Mode = "nearest",
    antialias: bool = False,
) -> Tensor:
    """Resize every dimension after the second, by `torch.nn.functional.interpolate`.

    Args:
        x: (B, C, T), (B, C, H, W) or (B, C, D, H, W).
        scale_factor: New size divided by old size. null: `size` gives the new size.
        size: New size: one number for all dimensions, or one for each. null: `scale_factor` gives the new size.
        mode: Interpolation mode: `linear` for sequences, `bilinear` or `bicubic` for images, `trilinear` for volumes,
            the others for all.
        antialias: Whether to blur before shrinking, in modes `bilinear` and `bicubic`.

    Returns:
        (B, C, ...) with the new size.

    Raises:
        ValueError: Neither or both of scale_factor and size are given.
    """
    return F.interpolate(x, size=size, scale_factor=scale_factor, mode=mode, antialias=antialias)
