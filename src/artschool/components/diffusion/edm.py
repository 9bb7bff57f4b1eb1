"""The diffusion of Karras et al. 2022, "Elucidating the design space" (EDM): preconditioning, loss, sampling.

The noise level is sigma, the standard deviation of the noise that is added to the data. The data is not scaled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from artschool.components.diffusion.guidance import Model


class Scalings(NamedTuple):
    """Scalings of a network at sigma: `D(x) = skip x + out F(inner x, noise)`."""

    skip: Tensor
    out: Tensor
    inner: Tensor
    noise: Tensor


def edm_scalings(sigma: Tensor, sigma_data: float) -> Scalings:
    """Return the scalings for which the input and the training target of the network have variance 1.

    Source: Karras et al. 2022, arXiv:2206.00364, table 1, column "ours", derived in appendix B.6.
    """
    total = sigma.square() + sigma_data**2
    return Scalings(sigma_data**2 / total, sigma * sigma_data / total.sqrt(), total.rsqrt(), sigma.log() / 4)


def edm_denoiser(model: Model, sigma_data: float) -> Model:
    """Return a model from noised data (B, C, ...) and its sigma (B,) to clean data (B, C, ...).

    Source: Karras et al. 2022, arXiv:2206.00364, eq. 7.
    """

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        scalings = edm_scalings(sigma.to(x.dtype).view(-1, *[1] * (x.ndim - 1)), sigma_data)
        return scalings.skip * x + scalings.out * model(scalings.inner * x, scalings.noise.flatten())

    return denoise


def edm_weight(sigma: Tensor, sigma_data: float) -> Tensor:
    """Return the weight of a squared error of clean data, `1 / out^2`.

    Source: Karras et al. 2022, arXiv:2206.00364, table 1.
    """
    return (sigma.square() + sigma_data**2) / (sigma * sigma_data).square()


def edm_sigmas(steps: int, *, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0) -> Tensor:
    """Decreasing noise levels, (steps + 1,), float64, the last 0; a large rho concentrates them near `sigma_min`.

    Source: Karras et al. 2022, arXiv:2206.00364, eq. 5.
    """
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigmas = (sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    return torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)])


@dataclass(frozen=True)
class Churn:
    """Noise that is added during sampling.

    Attributes:
        amount: Amount over all steps.
        sigma_min: Smallest noise level at which noise is added.
        sigma_max: Largest noise level at which noise is added.
        noise: Standard deviation, relative to the one that matches the noise level.
    """

    amount: float = 0.0
    sigma_min: float = 0.0
    sigma_max: float = float("inf")
    noise: float = 1.0


NO_CHURN = Churn()


def edm_sample(
    denoise: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    sigmas: Tensor,
    *,
    churn: Churn = NO_CHURN,
    second_order: bool = True,
) -> Tensor:
    """Integrate `dx / dsigma = (x - D(x; sigma)) / sigma` over decreasing noise levels by Heun's method.

    Args:
        denoise: (B, C, ...) and sigma (B,) to clean data.
        x: (B, C, ...), standard normal noise.
        sigmas: (steps + 1,), on the CPU, decreasing; the last may be 0.
        churn: Noise added during sampling. Without it, x determines the result.
        second_order: Whether each step is corrected by the slope at its end, at twice the calls; otherwise Euler's
            method.

    Source: Karras et al. 2022, arXiv:2206.00364, algorithm 1; algorithm 2 with churn.
    """
    levels = sigmas.tolist()
    x = x * levels[0]
    gamma_max = 2**0.5 - 1
    for now, after in pairwise(levels):
        gamma = min(churn.amount / (len(levels) - 1), gamma_max) if churn.sigma_min <= now <= churn.sigma_max else 0.0
        raised = now * (1 + gamma)
        if gamma > 0:
            x = x + (raised**2 - now**2) ** 0.5 * churn.noise * torch.randn_like(x)
        slope = _slope(denoise, x, raised)
        stepped = x + (after - raised) * slope
        if second_order and after > 0:
            stepped = x + (after - raised) * (slope + _slope(denoise, stepped, after)) / 2
        x = stepped
    return x


def _slope(denoise: Callable[[Tensor, Tensor], Tensor], x: Tensor, sigma: float) -> Tensor:
    return (x - denoise(x, torch.full((len(x),), sigma, dtype=x.dtype, device=x.device))) / sigma
