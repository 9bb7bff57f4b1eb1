"""Distance between spectra with larger weights at the frequencies that differ most."""

import torch
from torch import Tensor

from artschool.components.losses.shapes import pair
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import NotNegative


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def focal_frequency(fake: Tensor, real: Tensor, *, alpha: NotNegative = 1.0) -> Tensor:
    """Mean over frequencies of `w |F(fake) - F(real)|^2`, with `w = |F(fake) - F(real)|^alpha` over its largest value.

    F is the orthonormal two-dimensional Fourier transform of each channel. w is in 0..1 and gets no gradients.

    Args:
        fake: (B, C, H, W).
        real: The same shape.
        alpha: Exponent of the weights. Larger values give more weight to the largest differences; 0: equal weights.

    Raises:
        ConfigError: The shapes differ.

    Source: Jiang et al. 2021, arXiv:2012.12821, eq. 8 and 9.
    """
    fake, real = pair("focal_frequency", fake, real)
    # The transform is linear, so one suffices.
    difference = torch.view_as_real(torch.fft.fft2(fake - real, norm="ortho"))
    squares = difference.square().sum(-1)
    weights = squares.detach() ** (alpha / 2)
    largest = weights.amax((-2, -1), keepdim=True)
    # For equal images the largest difference is 0, and the weights do not matter.
    weights = weights / largest.clamp(min=torch.finfo(largest.dtype).tiny)
    return (weights * squares).mean()
