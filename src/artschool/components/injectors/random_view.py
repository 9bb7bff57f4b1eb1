"""Random views of images, for contrastive learning."""

from __future__ import annotations

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import UnitInterval

Area = Annotated[float, Field(gt=0, le=1)]
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey, from ITU-R BT.601."""
BLUR = (0.1, 2.0)
ASPECT = 4 / 3


@injectors.register(values={"x": (0.0, 1.0), "out": (0.0, 1.0)})
def random_view(
    x: Tensor,
    *,
    crop: tuple[Area, Area] = (0.2, 1.0),
    flip: UnitInterval = 0.5,
    brightness: UnitInterval = 0.4,
    contrast: UnitInterval = 0.4,
    saturation: UnitInterval = 0.4,
    grey: UnitInterval = 0.2,
    blur: UnitInterval = 0.5,
) -> Tensor:
    """Crop, flip, recolour and blur each image at random. Two calls give two views.

    The changes, in this order:

    - crop a random area with an aspect ratio in 3/4..4/3, and enlarge it to the size of x;
    - flip horizontally;
    - multiply values by a factor (brightness);
    - multiply their distances from the mean grey of the image by a factor (contrast);
    - multiply their distances from the grey of each pixel by a factor (saturation);
    - turn grey;
    - blur by a Gaussian of standard deviation 0.1 to 2 pixels, cut off at a tenth of the image's side.

    Each random number is drawn for each image. Images of 8 pixels need weaker changes than the defaults.

    Source: Chen et al. 2020, arXiv:2002.05709, appendix A, without the shift of hue and with jitter in fixed order.

    Args:
        x: (B, 1 or 3, H, W) in 0..1.
        crop: Smallest and largest area of the crop, as fractions of the image's area. `[1, 1]`: no crop.
        flip: Probability in 0..1 of a horizontal flip.
        brightness: Strength of brightness changes: values are multiplied by a factor from 1 - brightness to 1 +
            brightness. 0: no change.
        contrast: Strength of contrast changes: distances from the mean grey of the image are multiplied by a factor
            from 1 - contrast to 1 + contrast. 0: no change.
        saturation: Strength of saturation changes: distances from the grey of each pixel are multiplied by a factor
            from 1 - saturation to 1 + saturation. 0: no change.
        grey: Probability in 0..1 that an image is turned grey.
        blur: Probability in 0..1 that an image is blurred.

    Returns:
        Shape and data type of x, in 0..1.
    """
    out = _crop(x, crop, flip)
    out = out * _factor(x, brightness)
    mean = _grey(out).mean((2, 3), keepdim=True)
    out = mean + (out - mean) * _factor(x, contrast)
    if x.shape[1] == 3:
        shades = _grey(out)
        kept = _factor(x, saturation) * (_draw(x) >= grey)
        out = shades + (out - shades) * kept
    out = out.clamp(0, 1)
    return (_blurred(out, blur) if blur else out).to(x.dtype)


def _draw(x: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Draw a random number for each image, (B, 1, 1, 1)."""
    return low + (high - low) * torch.rand(len(x), 1, 1, 1, device=x.device)


def _factor(x: Tensor, spread: float) -> Tensor:
    return _draw(x, 1 - spread, 1 + spread)


def _grey(x: Tensor) -> Tensor:
    if x.shape[1] != 3:
        return x
    # Channel by channel: a tensor of the weights would be copied to the device, and the host would wait for it.
    red, green, blue = x.chunk(3, 1)
    return red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]


def _crop(x: Tensor, crop: tuple[float, float], flip: float) -> Tensor:
    area, aspect = _draw(x, *crop), _draw(x, -math.log(ASPECT), math.log(ASPECT)).exp()
    width, height = ((area * ratio).sqrt().clamp(max=1) for ratio in (aspect, 1 / aspect))
    if crop == (1, 1):
        width, height = torch.ones_like(area), torch.ones_like(area)
    left, top = ((1 - side) * _draw(x, -1, 1) for side in (width, height))
    mirror = torch.where(_draw(x) < flip, -1.0, 1.0)
    zero = torch.zeros_like(area)
    rows = [torch.cat([width * mirror, zero, left], 3), torch.cat([zero, height, top], 3)]
    grid = F.affine_grid(torch.cat(rows, 2)[:, 0], list(x.shape), align_corners=False)
    return F.grid_sample(x, grid.to(x.dtype), padding_mode="border", align_corners=False)


def _blurred(x: Tensor, probability: float) -> Tensor:
    batch, channels, height, width = x.shape
    radius = max(1, min(height, width) // 20)
    # Near zero for images that are not blurred: the kernel is then 1 in the middle and 0 around it.
    deviation = torch.where(_draw(x) < probability, _draw(x, *BLUR), 1e-3)
    positions = torch.arange(-radius, radius + 1, device=x.device)
    kernel = (-0.5 * (positions / deviation).square()).exp()
    kernel = (kernel / kernel.sum(3, keepdim=True)).to(x.dtype).repeat_interleave(channels, 0)
    planes = F.pad(x, [radius] * 4, mode="reflect").reshape(1, batch * channels, height + 2 * radius, -1)
    planes = F.conv2d(planes, kernel, groups=batch * channels)
    return F.conv2d(planes, kernel.mT, groups=batch * channels).view(x.shape)
