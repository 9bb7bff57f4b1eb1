"""Random views of images, for learning by comparing them."""

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
"""Weights of red, green and blue in grey, after ITU-R BT.601."""
BLUR = (0.1, 2.0)
ASPECT = 4 / 3


@injectors.register
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
    """Crop, flip, recolour and blur each image at random; two calls give two views.

    In this order: a crop of random area and of an aspect in 3/4..4/3 is enlarged to the size of x; flipped; values
    times a factor; their distance from the mean grey of the image times a factor; their distance from the grey of
    each pixel times a factor; turned grey; blurred by a Gaussian of standard deviation 0.1 to 2 pixels, cut off at a
    tenth of the image's side. Each number is drawn for each image.

    Source: Chen et al. 2020, arXiv:2002.05709, appendix A, without the shift of hue and with jitter in fixed order;
    for images of 8 pixels use less of it.

    Args:
        x: (B, 1 or 3, H, W) in 0..1.
        crop: Least and largest area of the crop, as a share of the image; [1, 1] leaves it out.
        flip: Probability of a horizontal flip.
        brightness: Values are multiplied by a factor from 1 - brightness to 1 + brightness; 0 leaves it out.
        contrast: Distances from the mean grey of the image are multiplied by a factor from 1 - contrast to 1 +
            contrast.
        saturation: Distances of a pixel from its own grey are multiplied by a factor from 1 - saturation to 1 +
            saturation.
        grey: Probability that an image loses its colour.
        blur: Probability that an image is blurred.

    Returns:
        The shape and type of x, in 0..1.
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
    """A number for each image, (B, 1, 1, 1)."""
    return low + (high - low) * torch.rand(len(x), 1, 1, 1, device=x.device)


def _factor(x: Tensor, spread: float) -> Tensor:
    return _draw(x, 1 - spread, 1 + spread)


def _grey(x: Tensor) -> Tensor:
    if x.shape[1] != 3:
        return x
    # Number by number: a tensor of the weights would be copied to the device, and the host would wait for that.
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
    # As good as zero for those that stay: the kernel is then 1 in the middle and 0 around it.
    deviation = torch.where(_draw(x) < probability, _draw(x, *BLUR), 1e-3)
    places = torch.arange(-radius, radius + 1, device=x.device)
    kernel = (-0.5 * (places / deviation).square()).exp()
    kernel = (kernel / kernel.sum(3, keepdim=True)).to(x.dtype).repeat_interleave(channels, 0)
    planes = F.pad(x, [radius] * 4, mode="reflect").reshape(1, batch * channels, height + 2 * radius, -1)
    planes = F.conv2d(planes, kernel, groups=batch * channels)
    return F.conv2d(planes, kernel.mT, groups=batch * channels).view(x.shape)
