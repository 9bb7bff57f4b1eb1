"""Similarity of images to their originals."""

from torch import Tensor

from artschool.registry import ComponentRole, metrics
from artschool.registry.signature import Positive


@metrics.register(roles=ComponentRole.HIGHER_IS_BETTER)
def psnr(fake: Tensor, real: Tensor, *, data_range: Positive = 1.0) -> Tensor:
    """Peak signal-to-noise ratio of each sample in decibels: `10 log10(data_range^2 / mean squared error)`.

    Args:
        fake: (B, ...), clamped to 0..data_range.
        real: The same shape, clamped to 0..data_range.
        data_range: Largest possible pixel value. The smallest is 0.

    Returns:
        (B,), higher is better. Infinite for a sample that equals its original.
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio

    fake, real = _clamped(fake, real, data_range)
    return peak_signal_noise_ratio(fake, real, data_range=data_range, reduction="none", dim=tuple(range(1, fake.ndim)))


@metrics.register(roles=ComponentRole.HIGHER_IS_BETTER)
def ssim(fake: Tensor, real: Tensor, *, data_range: Positive = 1.0) -> Tensor:
    """Structural similarity of each sample, with a Gaussian window of 11 pixels and standard deviation 1.5.

    Args:
        fake: (B, C, H, W) with H and W of at least 11, clamped to 0..data_range.
        real: The same shape, clamped to 0..data_range.
        data_range: Largest possible pixel value. The smallest is 0.

    Returns:
        (B,) in -1..1, higher is better. 1 for a sample that equals its original.

    Source: Wang et al. 2004, Image quality assessment, IEEE TIP 13(4).
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    fake, real = _clamped(fake, real, data_range)
    values = structural_similarity_index_measure(fake, real, data_range=data_range, reduction="none")
    assert isinstance(values, Tensor)  # A pair only if the full map is requested.
    return values.reshape(-1)


def _clamped(fake: Tensor, real: Tensor, data_range: float) -> tuple[Tensor, Tensor]:
    return fake.float().clamp(0, data_range), real.float().clamp(0, data_range)
