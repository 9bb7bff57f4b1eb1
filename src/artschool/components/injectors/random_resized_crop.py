"""Random crops of images, resized to one size."""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.ranges import same_as
from artschool.registry.signature import Count


@injectors.register(values=same_as("x"))
def random_resized_crop(
    x: Tensor,
    *,
    size: Count,
    min_area: Annotated[float, Field(gt=0, le=1)] = 0.08,
    mode: Literal["nearest", "bilinear"] = "bilinear",
) -> Tensor:
    """Crop a random square from each image and resize it.

    Args:
        x: (B, C, H, W).
        size: Height and width of the results in pixels.
        min_area: Minimum area of a crop, as a fraction of the largest square that fits the image. The area is uniform
            between this fraction and 1.
        mode: Interpolation mode, `nearest` or `bilinear`. Neither blurs before shrinking; for large images with fine
            patterns, use `interpolate` with `antialias` first.

    Returns:
        (B, C, size, size).
    """
    batch, _, height, width = x.shape
    side = (min_area + (1 - min_area) * torch.rand(batch, device=x.device)).sqrt() * min(height, width)
    # The image spans -1..1 in each direction. A crop spans `extent` of that, and its center stays within the rest.
    extent = torch.stack([side / width, side / height], dim=1)
    center = (2 * torch.rand(batch, 2, device=x.device) - 1) * (1 - extent)
    transform = torch.cat([torch.diag_embed(extent), center[:, :, None]], dim=2)
    grid = F.affine_grid(transform, [batch, 1, size, size], align_corners=False).to(x.dtype)
    return F.grid_sample(x, grid, mode=mode, padding_mode="border", align_corners=False)
