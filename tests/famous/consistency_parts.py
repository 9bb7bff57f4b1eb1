"""Points on a circle, a denoiser of points, and a step of its ordinary differential equation."""

from __future__ import annotations

import math
from typing import TypedDict

import torch
from torch import Tensor, nn

from artschool import Network, datasets, injectors, networks

LEVELS, LEAST, MOST, RHO = 18, 0.002, 80.0, 7


class Sample(TypedDict):
    point: Tensor


@datasets.register
class Circle:
    """64 points on a circle of radius 1: `point`, (2,)."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Sample:
        angle = 2 * math.pi * index / len(self)
        return {"point": torch.tensor([math.cos(angle), math.sin(angle)])}


@networks.register
class Denoises(nn.Module):
    """From points (B, 2) with noise of deviation t (B,) to points (B, 2); the identity at the least t (section 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        t = t[:, None]
        skip, out = 0.25 / ((t - LEAST).square() + 0.25), 0.5 * (t - LEAST) / (t.square() + 0.25).sqrt()
        scaled = x / (t.square() + 0.25).sqrt()
        denoised: Tensor = skip * x + out * self.body(torch.cat([scaled, t.log() / 4], 1))
        return denoised


def _time(level: Tensor) -> Tensor:
    """The deviation of the noise at levels 0 to `LEVELS` - 1 (section 3)."""
    least, most = LEAST ** (1 / RHO), MOST ** (1 / RHO)
    time: Tensor = (least + level / (LEVELS - 1) * (most - least)) ** RHO
    return time


@injectors.register
def ode_step(network: Network, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noise of a random level, and one step of Euler's method to the level below, by a teacher.

    Returns:
        Points (B, 2) and their level (B,), before and after the step.
    """
    later = torch.randint(1, LEVELS, (len(x),), device=x.device)
    high, low = _time(later), _time(later - 1)
    noisy = x + high[:, None] * torch.randn_like(x)
    with torch.no_grad():
        slope = (noisy - network(noisy, high)) / high[:, None]
    return noisy, high, noisy + (low - high)[:, None] * slope, low
