"""Training objectives of a diffusion network: the error of its prediction, or the variational bound."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from artschool.components.diffusion.process import GaussianProcess, Prediction
from artschool.errors import ConfigError

Objective = Literal["mse", "rescaled_mse", "kl", "rescaled_kl"]
GREY_LEVELS = 255
"""Steps between the 256 levels that the bound assumes for data in -1..1."""


class Terms(NamedTuple):
    """The loss to minimize and the variational bound of each sample, (B,), and the predicted clean data."""

    loss: Tensor
    vb: Tensor
    x0: Tensor


def training_terms(
    process: GaussianProcess,
    output: Tensor,
    x0: Tensor,
    noise: Tensor,
    t: Tensor,
    *,
    objective: Objective = "mse",
    min_snr_gamma: float | None = None,
) -> Terms:
    """Return the training objective for the output of a network.

    Args:
        process: The diffusion.
        output: (B, C or 2 C, ...), output of the network for `process.noised(x0, noise, t)`.
        x0: (B, C, ...), the clean data.
        noise: (B, C, ...).
        t: (B,).
        objective: `mse` is the mean squared error of the prediction; its bound has gradients to the variance alone, and
            is multiplied by T / 1000 for `rescaled_mse`. `kl` minimizes the bound itself, in bits per number, times T
            for `rescaled_kl`; the separate bound then has no gradient.
        min_snr_gamma: Weights the squared errors by min(SNR, gamma), see `min_snr_weight`.

    Source: Nichol and Dhariwal 2021, arXiv:2102.09672, section 3.1.
    """
    x_t = process.noised(x0, noise, t)
    prediction, variance = process.split(output, x_t)
    predicted_x0 = process.predicted_x0(prediction, x_t, t)
    if objective in ("kl", "rescaled_kl"):
        vb = variational_bound(process, output, x0, x_t, t)
        scale = process.num_timesteps if objective == "rescaled_kl" else 1
        return Terms(vb * scale, vb.detach(), predicted_x0)
    loss = (process.target(x0, noise, x_t, t) - prediction).square().flatten(1).mean(1)
    if min_snr_gamma is not None:
        loss = loss * min_snr_weight(process.at("alpha_bar", t, loss), min_snr_gamma, process.prediction)
    frozen = prediction.detach() if variance is None else torch.cat([prediction.detach(), variance], 1)
    vb = variational_bound(process, frozen, x0, x_t, t)
    return Terms(loss, vb * (process.num_timesteps / 1000) if objective == "rescaled_mse" else vb, predicted_x0)


def variational_bound(process: GaussianProcess, output: Tensor, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """Return the term of the variational bound at t, (B,), in bits per number.

    `KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))`, and `-log p(x_0 | x_1)` at the first timestep.

    Source: Ho et al. 2020, arXiv:2006.11239, eq. 5; Nichol and Dhariwal 2021, arXiv:2102.09672, eq. 4 to 7.
    """
    reverse = process.reverse(output, x_t, t)
    mean, log_variance = process.posterior_mean(x0, x_t, t), process.at("posterior_log_variance", t, x_t)
    divergence = gaussian_kl(mean, log_variance, reverse.mean, reverse.log_variance)
    first = -log_likelihood_of_levels(x0, reverse.mean, reverse.log_variance / 2)
    bound = torch.where((t == 0).view(-1, *[1] * (x0.ndim - 1)), first, divergence)
    return bound.flatten(1).mean(1) / math.log(2)


def gaussian_kl(mean1: Tensor, log_variance1: Tensor, mean2: Tensor, log_variance2: Tensor) -> Tensor:
    """`KL(N(mean1, exp(log_variance1)) || N(mean2, exp(log_variance2)))` of each number, in nats."""
    difference = log_variance2 - log_variance1
    return 0.5 * (difference - 1 + (-difference).exp() + (mean1 - mean2).square() * (-log_variance2).exp())


def log_likelihood_of_levels(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return the logarithm of a Gaussian's mass in the grey level of each number of x, in nats.

    Args:
        x: In -1..1, one of 256 levels; the lowest and the highest extend to infinity.
        mean: Mean of the Gaussian.
        log_scale: Logarithm of the standard deviation of the Gaussian.

    Source: Ho et al. 2020, arXiv:2006.11239, section 3.3, eq. 13; the normal distribution function by the approximation
        of Page 1977, Applied Statistics 26(1).
    """
    centered, scale, half = x - mean, (-log_scale).exp(), 1 / GREY_LEVELS
    upper, lower = _normal_cdf(scale * (centered + half)), _normal_cdf(scale * (centered - half))
    mass = torch.where(x < -0.999, upper, torch.where(x > 0.999, 1 - lower, upper - lower))
    return mass.clamp(min=1e-12).log()


def _normal_cdf(x: Tensor) -> Tensor:
    return 0.5 * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)).tanh())


def min_snr_weight(alpha_bar: Tensor, gamma: float, prediction: Prediction) -> Tensor:
    """Return the weight `min(SNR, gamma)` of an error in x0, divided by the factor that makes it one of the prediction.

    `SNR = alpha_bar / (1 - alpha_bar)`; an error of epsilon is SNR times one of x0, an error of v SNR + 1 times.

    Source: Hang et al. 2023, arXiv:2303.09556, section 3.4.

    Raises:
        ConfigError: The prediction is `previous`, for which the weight is not defined.
    """
    if prediction == "previous":
        raise ConfigError("min_snr_gamma: expected prediction epsilon, x0 or v, got previous")
    snr = alpha_bar / (1 - alpha_bar)
    weight = snr.clamp(max=gamma)
    return {"x0": weight, "epsilon": weight / snr, "v": weight / (snr + 1)}[prediction]
