"""Similarity of images to their originals."""

from torch import Tensor

from artschool.components.data_range import DataRange, in_data_range, limits
from artschool.components.losses.shapes import check_window, pair
from artschool.registry import ComponentRole, metrics

WINDOW = 11


@metrics.register(roles=ComponentRole.HIGHER_IS_BETTER, values=in_data_range)
def psnr(fake: Tensor, real: Tensor, *, data_range: DataRange = 1.0) -> Tensor:
    """Peak signal-to-noise ratio of each sample in decibels: `10 log10((high - low)^2 / mean squared error)`.

    Args:
        fake: (B, ...), clamped to the data range.
        real: The same shape, clamped to the data range.
        data_range: Smallest and largest possible pixel value, such as `[-1, 1]`. A number n is short for `[0, n]`.

    Returns:
        (B,), higher is better. Infinite for a sample that equals its original.

    Raises:
        ConfigError: The shapes differ.
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio

    fake, real, width = _from_zero("psnr", fake, real, data_range)
    return peak_signal_noise_ratio(fake, real, data_range=width, reduction="none", dim=tuple(range(1, fake.ndim)))


@metrics.register(roles=ComponentRole.HIGHER_IS_BETTER, values=in_data_range)
def ssim(fake: Tensor, real: Tensor, *, data_range: DataRange = 1.0) -> Tensor:
    """Structural similarity of each sample, with a Gaussian window of 11 pixels and standard deviation 1.5.

    Args:
        fake: (B, C, H, W) with H and W of at least 11, clamped to the data range.
        real: The same shape, clamped to the data range.
        data_range: Smallest and largest possible pixel value, such as `[-1, 1]`. A number n is short for `[0, n]`.

    Returns:
        (B,) in -1..1, higher is better. 1 for a sample that equals its original.

    Raises:
        ConfigError: The shapes differ, or the images are smaller than the window.

    Source: Wang et al. 2004, Image quality assessment, IEEE TIP 13(4).
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    fake, real, width = _from_zero("ssim", fake, real, data_range)
    check_window(real, WINDOW)
    values = structural_similarity_index_measure(fake, real, data_range=width, reduction="none")
    assert isinstance(values, Tensor)  # A pair only if the full map is requested.
    return values.reshape(-1)


def _from_zero(owner: str, fake: Tensor, real: Tensor, data_range: DataRange) -> tuple[Tensor, Tensor, float]:
    """Both images clamped to the range and shifted to start at 0, and the width of the range."""
    low, high = limits(data_range)
    fake, real = pair(owner, fake, real)
    return fake.float().clamp(low, high) - low, real.float().clamp(low, high) - low, high - low
