"""Noise schedules: the amount of noise that each timestep of a diffusion adds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from artschool.errors import ConfigError

ScheduleName = Literal["linear", "scaled_linear", "cosine", "sigmoid"]
LARGEST_BETA = 0.999


def betas_of(schedule: ScheduleName | Sequence[float], num_timesteps: int) -> Tensor:
    """Return the variances that a schedule adds, (num_timesteps,), float64.

    Args:
        schedule: A name, or the variances themselves.
        num_timesteps: Number of timesteps.

    Raises:
        ConfigError: A variance is not between 0 and 1, or their number is not `num_timesteps`.
    """
    if isinstance(schedule, str):
        return SCHEDULES[schedule](num_timesteps)
    betas = torch.tensor([*schedule], dtype=torch.float64)
    if len(betas) != num_timesteps:
        raise ConfigError(f"schedule: expected num_timesteps ({num_timesteps}) betas, got {len(betas)}")
    if not bool(((betas > 0) & (betas < 1)).all()):
        wrong = next(index for index, beta in enumerate(schedule) if not 0 < beta < 1)
        raise ConfigError(f"schedule.{wrong}: expected a beta between 0 and 1, both excluded, got {schedule[wrong]}")
    return betas


def linear_betas(num_timesteps: int) -> Tensor:
    """`beta` rises linearly from 1e-4 to 0.02, both times 1000 / num_timesteps.

    Raises:
        ConfigError: There are fewer than 21 timesteps, for which beta would reach 1.

    Source: Ho et al. 2020, arXiv:2006.11239, section 4; scaled as in Nichol and Dhariwal 2021, arXiv:2102.09672.
    """
    if num_timesteps <= 20:
        raise ConfigError(
            f"num_timesteps: expected more than 20 with the linear schedule, got {num_timesteps}. "
            "Fix: raise it, or use the cosine schedule"
        )
    scale = 1000 / num_timesteps
    return torch.linspace(1e-4 * scale, 0.02 * scale, num_timesteps, dtype=torch.float64)


def scaled_linear_betas(num_timesteps: int) -> Tensor:
    """`sqrt(beta)` rises linearly from sqrt(0.00085) to sqrt(0.012), whatever the number of timesteps.

    Source: Rombach et al. 2022, arXiv:2112.10752, the configuration of Stable Diffusion.
    """
    return torch.linspace(0.00085**0.5, 0.012**0.5, num_timesteps, dtype=torch.float64).square()


def cosine_betas(num_timesteps: int) -> Tensor:
    """`alpha_bar(t) = cos((t + s) / (1 + s) pi / 2)^2` with s = 0.008, up to a constant factor.

    Source: Nichol and Dhariwal 2021, arXiv:2102.09672, eq. 17.
    """
    return _betas_from(lambda t: math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2, num_timesteps)


def sigmoid_betas(num_timesteps: int) -> Tensor:
    """`alpha_bar(t)` falls as a sigmoid from t = 0 to 1, over its arguments -3 to 3.

    Source: Jabri et al. 2022, arXiv:2212.11972, section 3.2; Chen 2023, arXiv:2301.10972, algorithm 1.
    """
    # The ratios of successive levels, from which betas follow, do not depend on a constant factor.
    return _betas_from(lambda t: _sigmoid(3.0) - _sigmoid(6 * t - 3), num_timesteps)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _betas_from(alpha_bar: Callable[[float], float], num_timesteps: int) -> Tensor:
    levels = [alpha_bar(index / num_timesteps) for index in range(num_timesteps + 1)]
    betas = [min(1 - after / before, LARGEST_BETA) for before, after in pairwise(levels)]
    return torch.tensor(betas, dtype=torch.float64)


SCHEDULES: dict[ScheduleName, Callable[[int], Tensor]] = {
    "linear": linear_betas,
    "scaled_linear": scaled_linear_betas,
    "cosine": cosine_betas,
    "sigmoid": sigmoid_betas,
}
