"""Flow matching: a velocity field that transports one distribution to another along straight lines."""

from __future__ import annotations

import torch
from torch import Tensor

from artschool.components.diffusion.guidance import Model


def flow_path(source: Tensor, target: Tensor, t: Tensor, *, sigma_min: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return a point on the line between two samples, and the velocity along it.

    `x_t = (1 - (1 - sigma_min) t) source + t target`, `v = target - (1 - sigma_min) source`.

    Args:
        source: (B, ...), at t = 0, usually standard normal noise.
        target: (B, ...), at t = 1, where `sigma_min` of the source remains.
        t: (B,), in 0..1.

    Source: Lipman et al. 2023, arXiv:2210.02747, eq. 22 and 23; rectified flow where sigma_min is 0: Liu et al. 2023,
        arXiv:2209.03003, eq. 1.
    """
    t = t.to(target.dtype).view(-1, *[1] * (target.ndim - 1))
    velocity = target - (1 - sigma_min) * source
    return source + t * velocity, velocity


def euler_sample(velocity: Model, x: Tensor, steps: int) -> Tensor:
    """Integrate `dx / dt = v(x, t)` from t = 0 to 1 in equal steps of Euler's method, one call each.

    Args:
        velocity: (B, ...) and times (B,) to velocities.
        x: (B, ...), the source.
    """
    for index in range(steps):
        x = x + velocity(x, _time(x, index / steps)) / steps
    return x


def heun_sample(velocity: Model, x: Tensor, steps: int) -> Tensor:
    """Integrate as `euler_sample` does, by Heun's method: the mean of the slopes at both ends, two calls a step.

    The error falls with the square of the number of steps, that of Euler's method with the number.
    """
    for index in range(steps):
        slope = velocity(x, _time(x, index / steps))
        ahead = velocity(x + slope / steps, _time(x, (index + 1) / steps))
        x = x + (slope + ahead) / (2 * steps)
    return x


def _time(x: Tensor, t: float) -> Tensor:
    return torch.full((len(x),), t, dtype=x.dtype, device=x.device)
