"""A denoiser, the targets of progressive distillation, and the schedules of its rounds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from artschool import Network, Scheduled, injectors, losses, networks, schedules


@networks.register
class Denoiser(nn.Module):
    """Predicts an image (B, 1, 8, 8) from a noisy one and its time in 0..1, (B,)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(65, 48), nn.SiLU(), nn.Dropout(0.1), nn.Linear(48, 64))

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        image: Tensor = self.layers(torch.cat([z.flatten(1), t[:, None]], 1))
        return image.view_as(z)


@schedules.register
def zero_at_last(rate: float, iteration: int, *, of: int) -> float:
    """Zero in the last of every `of` iterations, else the rate. A decay of zero makes an average its network."""
    return 0.0 if (iteration + 1) % of == 0 else rate


@schedules.register
def halved(rate: float, iteration: int, *, start: int, every: int) -> float:
    """`start`, halved every `every` iterations."""
    return rate * (start // 2 ** (iteration // every))


@injectors.register
def two_steps(teacher: Network, x: Tensor, *, steps: Scheduled) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a student learns: noisy images, their times, what takes it in one step where the teacher is after two, and
    the weights, (B,)."""
    t = torch.randint(1, int(steps) + 1, (len(x),), device=x.device) / steps
    alpha, sigma = alpha_sigma(t)
    z = alpha * x + sigma * torch.randn_like(x)
    half, last = t - 0.5 / steps, t - 1 / steps
    with torch.no_grad():
        after = ddim(teacher, ddim(teacher, z, t, half), half, last)
    last_alpha, last_sigma = alpha_sigma(last)
    target = (after - last_sigma / sigma * z) / (last_alpha - last_sigma / sigma * alpha)
    return z, t, target, (alpha / sigma).square().clamp(min=1).flatten()


@losses.register(mean_over="samples")
def truncated_l2(fake: Tensor, real: Tensor, share: Tensor) -> Tensor:
    """Equation 9: squares weighted by the signal-to-noise ratio, at least 1."""
    return ((fake - real).square().flatten(1).mean(1) * share).mean()


def ddim(network: Network, z: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """A step of DDIM from the time t to s, equation 8."""
    (alpha, sigma), (next_alpha, next_sigma) = alpha_sigma(t), alpha_sigma(s)
    guess: Tensor = network(z, t)
    return next_alpha * guess + next_sigma / sigma * (z - alpha * guess)


def alpha_sigma(t: Tensor) -> tuple[Tensor, Tensor]:
    """The cosine schedule."""
    angle = (t * torch.pi / 2)[:, None, None, None]
    return angle.cos(), angle.sin()
