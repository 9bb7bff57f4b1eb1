"""Samplers of a Gaussian diffusion."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from artschool.components.diffusion.guidance import Model
from artschool.components.diffusion.process import GaussianProcess


def ddpm_sample(model: Model, x: Tensor, process: GaussianProcess, *, clip: bool = True) -> Tensor:
    """Ancestral sampling: draw `x_{t-1}` from `p(x_{t-1} | x_t)` down to `x_0`.

    Args:
        model: (B, C, ...) and times (B,) to the network's output.
        x: (B, C, ...), standard normal noise.
        process: The diffusion, with the timesteps that sampling takes.
        clip: Whether the clean data that is predicted at each step is clipped to -1..1.

    Source: Ho et al. 2020, arXiv:2006.11239, algorithm 2.
    """
    for index, t in _down(process, x):
        reverse = process.reverse(model(x, process.network_time(t)), x, t, clip=clip)
        x = reverse.mean
        if index > 0:
            x = x + (reverse.log_variance / 2).exp() * torch.randn_like(x)
    return x


def ddim_sample(model: Model, x: Tensor, process: GaussianProcess, *, clip: bool = True, eta: float = 0.0) -> Tensor:
    """Sampling with less noise than the ancestral, or none; it suits few timesteps.

    Args:
        model: (B, C, ...) and times (B,) to the network's output.
        x: (B, C, ...), standard normal noise.
        process: The diffusion, with the timesteps that sampling takes.
        clip: Whether the clean data that is predicted at each step is clipped to -1..1.
        eta: Amount of noise: 0 adds none, 1 as much as ancestral sampling with variance fixed_small.

    Source: Song et al. 2021, arXiv:2010.02502, eq. 12 and 16.
    """
    for index, t in _down(process, x):
        x0 = process.reverse(model(x, process.network_time(t)), x, t, clip=clip).x0
        mean, deviation = ddim_step(process, x0, x, t, eta=eta)
        x = mean + deviation * torch.randn_like(x) if index > 0 and eta > 0 else mean
    return x


def ddim_step(
    process: GaussianProcess, x0: Tensor, x_t: Tensor, t: Tensor, *, eta: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation of `x_{t-1}`, given the predicted clean data.

    Source: Song et al. 2021, arXiv:2010.02502, eq. 12 and 16.
    """
    before, now = process.at("alpha_bar_before", t, x_t), process.at("alpha_bar", t, x_t)
    deviation = eta * ((1 - before) / (1 - now) * (1 - now / before)).sqrt()
    # Rounding may give a negative number.
    towards = (1 - before - deviation.square()).clamp(min=0).sqrt()
    return before.sqrt() * x0 + towards * process.epsilon(x0, x_t, t), deviation


def _down(process: GaussianProcess, x: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Iterate over the timesteps from last to first, as a number and as a batch."""
    for index in reversed(range(process.num_timesteps)):
        yield index, torch.full((len(x),), index, device=x.device)
