"""Structural similarity of images."""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from artschool.components.data_range import DataRange, in_data_range, limits
from artschool.components.losses.shapes import check_window, pair
from artschool.components.precision import without_autocast
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Positive

Window = Annotated[int, Field(ge=3)]
SCALE_WEIGHTS = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
"""Wang et al. 2003, section 3.2, from full size to 1/16 of it."""
SMALLEST_FACTOR = 1e-6


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples", values=in_data_range)
def ssim(
    fake: Tensor, real: Tensor, *, data_range: DataRange = 1.0, window: Window = 11, deviation: Positive = 1.5
) -> Tensor:
    """1 - structural similarity, averaged over positions, channels and the batch: 0 for equal images, at most 2.

    Only positions at which the window is inside the image count. The metric `ssim` counts all positions, with a
    mirrored border.

    Args:
        fake: (B, C, H, W), H and W at least the window.
        real: The same shape.
        data_range: Smallest and largest possible pixel value, such as `[-1, 1]`. A number n is short for `[0, n]`.
        window: Side of the Gaussian window in pixels.
        deviation: Standard deviation of the Gaussian window in pixels.

    Raises:
        ConfigError: The shapes differ, or the images are smaller than the window.

    Source: Wang et al. 2004, Image quality assessment, IEEE TIP 13(4), eq. 13.
    """
    fake, real, width = _from_zero("ssim", fake, real, data_range)
    check_window(fake, window)
    luminance, contrast = _similarities(fake, real, width, _gaussian(fake, window, deviation))
    return 1 - (luminance * contrast).mean()


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples", values=in_data_range)
def ms_ssim(
    fake: Tensor,
    real: Tensor,
    *,
    data_range: DataRange = 1.0,
    window: Window = 11,
    deviation: Positive = 1.5,
    scale_weights: list[float] = SCALE_WEIGHTS,  # only read
) -> Tensor:
    """1 - structural similarity at several sizes of the image, each half the previous one; averaged over the batch.

    The similarity of a sample is `prod_i contrast_i^w_i`, where the last factor also contains the luminance. Each
    factor is a mean over positions and channels, and at least 1e-6.

    Args:
        fake: (B, C, H, W), H and W at least the window at the smallest size: 176 pixels with the defaults.
        real: The same shape.
        data_range: Smallest and largest possible pixel value, such as `[-1, 1]`. A number n is short for `[0, n]`.
        window: Side of the Gaussian window in pixels.
        deviation: Standard deviation of the Gaussian window in pixels.
        scale_weights: Exponents w_i of the sizes, from full size down. Their number is the number of sizes.

    Raises:
        ConfigError: The shapes differ, or the smallest images are smaller than the window.

    Source: Wang et al. 2003, Multi-scale structural similarity for image quality assessment, Asilomar, eq. 7.
    """
    fake, real, width = _from_zero("ms_ssim", fake, real, data_range)
    kernel = _gaussian(fake, window, deviation)
    value = fake.new_ones(len(fake))
    for index, exponent in enumerate(scale_weights):
        if index:
            fake, real = F.avg_pool2d(fake, 2), F.avg_pool2d(real, 2)
        check_window(fake, window)
        luminance, contrast = _similarities(fake, real, width, kernel)
        last = index == len(scale_weights) - 1
        factor = (luminance * contrast if last else contrast).mean((1, 2, 3))
        # A power has an infinite gradient at 0, and no value below it.
        value = value * factor.clamp(min=SMALLEST_FACTOR) ** exponent
    return 1 - value.mean()


def _from_zero(owner: str, fake: Tensor, real: Tensor, data_range: DataRange) -> tuple[Tensor, Tensor, float]:
    """Both images shifted so that their range starts at 0, and the width of the range."""
    fake, real = pair(owner, fake, real)
    low, high = limits(data_range)
    return (fake - low, real - low, high - low) if low else (fake, real, high)


def _gaussian(like: Tensor, window: int, deviation: float) -> Tensor:
    positions = torch.arange(window, dtype=like.dtype, device=like.device) - (window - 1) / 2
    return torch.softmax(-positions.square() / (2 * deviation**2), 0)


def _similarities(fake: Tensor, real: Tensor, data_range: float, kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast times structure, at each position at which the window is inside the image."""
    size = len(kernel)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    stacked = torch.stack([fake, real, fake * fake, real * real, fake * real])
    flat = stacked.flatten(0, 2).unsqueeze(1)
    with without_autocast(flat):
        blurred = F.conv2d(F.conv2d(flat, kernel.view(1, 1, size, 1)), kernel.view(1, 1, 1, size))
    fake, real, fake_square, real_square, product = blurred.view(*stacked.shape[:3], *blurred.shape[-2:])
    luminance = (2 * fake * real + c1) / (fake.square() + real.square() + c1)
    variances = (fake_square - fake.square()).clamp(min=0) + (real_square - real.square()).clamp(min=0)
    contrast = (2 * (product - fake * real) + c2) / (variances + c2)
    return luminance, contrast
