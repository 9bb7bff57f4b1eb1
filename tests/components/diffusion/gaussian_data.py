"""Data of one number, N(MEAN, DEVIATION^2), for which everything that a network could learn is known."""

from __future__ import annotations

import torch
from torch import Tensor

from artschool.components.diffusion.process import GaussianProcess

MEAN, DEVIATION = 0.3, 0.5
# What samplers make of these two starts is the mean, and the mean plus one standard deviation.
STARTS = torch.tensor([[0.0], [1.0]], dtype=torch.float64)


def best_x0(process: GaussianProcess, x_t: Tensor, t: Tensor) -> Tensor:
    """`E[x_0 | x_t]`."""
    signal, noise = process.at("signal", t, x_t), process.at("noise", t, x_t)
    gain = signal * DEVIATION**2 / (signal**2 * DEVIATION**2 + noise**2)
    return MEAN + gain * (x_t - signal * MEAN)


def best_output(process: GaussianProcess, x_t: Tensor, t: Tensor) -> Tensor:
    """What a perfect network gives, with the true variance of the way back where it is learned."""
    x0 = best_x0(process, x_t, t)
    prediction = process.target(x0, process.epsilon(x0, x_t, t), x_t, t)
    if process.variance == "fixed_small":
        return prediction
    signal, noise = process.at("signal", t, x_t), process.at("noise", t, x_t)
    unknown = DEVIATION**2 * noise**2 / (signal**2 * DEVIATION**2 + noise**2)
    known = process.at("posterior_variance", t, x_t)
    true = known + process.at("posterior_x0", t, x_t) ** 2 * unknown
    return torch.cat([prediction, true.log().expand_as(prediction)], 1)


def best_denoised(x: Tensor, sigma: Tensor) -> Tensor:
    """`E[x_0 | x_0 + sigma n]`."""
    variance = DEVIATION**2
    return MEAN + variance / (variance + sigma[:, None] ** 2) * (x - MEAN)


def best_velocity(x: Tensor, t: Tensor) -> Tensor:
    """`E[x_1 - x_0 | (1 - t) x_0 + t x_1]` with x_0 standard normal noise and x_1 the data."""
    t = t[:, None]
    gain = (t * DEVIATION**2 - (1 - t)) / ((1 - t) ** 2 + t**2 * DEVIATION**2)
    return MEAN + gain * (x - t * MEAN)
