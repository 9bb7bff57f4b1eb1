"""A function of tensors, applied to images, frames and sound of any size and number of channels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.apply.sizes import Function, Sizes
from artschool.apply.tiles import WHOLE, Tiling, apply_in_tiles
from artschool.media.images import Image

LUMA = (0.299, 0.587, 0.114)
"""Parts of red, green and blue in the brightness of a color (ITU-R BT.601)."""
LITTLE_COLOR = 0.02
"""Mean distance of the channels of a result from their mean up to which the result of a gray image is gray."""
Range = tuple[float, float]


@dataclass(frozen=True)
class Applied:
    """A function with what is known about it.

    Attributes:
        name: What the function computes.
        function: (B, C, ...) to (B, C', ...), values in the ranges below.
        channels: C.
        dims: Number of dimensions after the channels: 2 for images, 1 for sound.
        sizes: How sizes of inputs and results are related. None: results have no such dimensions.
        tiling: How large inputs are divided.
        range: Values of black and white of inputs; of sound, (0, 1).
        result_range: The same of results.
    """

    name: str
    function: Function
    channels: int
    dims: int
    sizes: Sizes | None
    tiling: Tiling = WHOLE
    range: Range = (0.0, 1.0)
    result_range: Range = (0.0, 1.0)

    @property
    def makes_images(self) -> bool:
        """Whether results are images."""
        return self.dims == 2 and self.sizes is not None and self.sizes.channels in (1, 3)

    @property
    def makes_sound(self) -> bool:
        """Whether results are sound."""
        return self.dims == 1 and self.sizes is not None and self.sizes.channels in (1, 2)

    def __call__(self, values: Tensor) -> Tensor:
        """Apply the function.

        Args:
            values: (B, channels, ...), with any number of channels. Black is 0 and white is 1.

        Returns:
            (B, channels', ...), or what the function returns if its results have no sizes. A function of one channel is
            applied to each channel. For one of several channels, a single channel is repeated, and the result has one
            again unless it is colored.
        """
        given = values.shape[1]
        if given == self.channels:
            return self._in_range(values)
        if self.sizes is None:
            return self(values.expand(-1, self.channels, *values.shape[2:]) if given == 1 else _mixed(values))
        if given == 1:
            result = self._in_range(values.expand(-1, self.channels, *values.shape[2:]))
            mean = result.mean(1, keepdim=True)
            return mean if float((result - mean).abs().mean()) <= LITTLE_COLOR else result
        if self.channels == 1 and self.sizes.channels == 1:
            each = self._in_range(values.flatten(0, 1).unsqueeze(1))
            return each.unflatten(0, (len(values), given)).squeeze(2)
        return self(_mixed(values))

    def images(self, images: list[Image]) -> list[Image]:
        """Apply the function to the color of images of one size, and resize their opacity with it."""
        results = self(torch.stack([image.color for image in images]))
        return [
            Image(color, _resized(image.alpha, color), image.bits, image.profile)
            for image, color in zip(images, results, strict=True)
        ]

    def _in_range(self, values: Tensor) -> Tensor:
        (low, high), (new_low, new_high) = self.range, self.result_range
        values = values * (high - low) + low
        if self.sizes is None:
            return self.function(values).float().cpu()
        result = apply_in_tiles(self.function, values, self.sizes, self.tiling)
        return (result - new_low) / (new_high - new_low)


def _mixed(values: Tensor) -> Tensor:
    """The brightness (B, 1, ...) of colors, or the mean of other channels."""
    if values.shape[1] != len(LUMA):
        return values.mean(1, keepdim=True)
    return (values * values.new_tensor(LUMA).reshape(-1, *[1] * (values.dim() - 2))).sum(1, keepdim=True)


def _resized(alpha: Tensor | None, color: Tensor) -> Tensor | None:
    if alpha is None or alpha.shape[1:] == color.shape[1:]:
        return alpha
    size = (color.shape[1], color.shape[2])
    return F.interpolate(alpha[None], size, mode="bicubic", align_corners=False, antialias=True)[0].clamp(0, 1)
