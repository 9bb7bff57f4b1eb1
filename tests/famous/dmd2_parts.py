"""Latents, denoisers, and the loss of distribution matching distillation."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn

from artschool import datasets, injectors, losses, networks


class Latent(TypedDict):
    z: Tensor
    largest: Tensor


@datasets.register
class Latents:
    """Noise at the largest level: `z`, (4,), and the level."""

    def __len__(self) -> int:
        return 4096

    def __getitem__(self, index: int) -> Latent:
        return {"z": 3 * torch.randn(4), "largest": torch.tensor(3.0)}


@networks.register
class Denoiser(nn.Module):
    """From noisy values (B, 4) and the level of noise (B,) to values."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(5, 24), nn.SiLU(), nn.Linear(24, 4))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        values: Tensor = self.layers(torch.cat([x, sigma[:, None]], 1))
        return values


@injectors.register
def diffuse(x: Tensor) -> tuple[Tensor, Tensor]:
    """Add noise of a random level."""
    sigma = 0.1 + 2.9 * torch.rand(len(x), device=x.device)
    return x + sigma[:, None] * torch.randn_like(x), sigma


@losses.register
def distribution_matching(x: Tensor, as_fake: Tensor, as_real: Tensor) -> Tensor:
    """A loss whose gradient is that of equation 2, normalized as in DMD."""
    gradient = (as_fake - as_real) / (x.detach() - as_real).abs().mean(1, keepdim=True)
    return 0.5 * (x - (x - gradient).detach()).square().mean()
