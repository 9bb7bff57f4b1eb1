"""Pictures with a label, a frozen encoder of them, and a denoiser of latents."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn

from artschool import datasets, injectors, networks

NOTHING = 4
"""The label that means "no condition"."""


class Sample(TypedDict):
    picture: Tensor
    label: int


@datasets.register
class LatentPictures:
    """64 pictures, (16,), of 4 labels."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Sample:
        return {"picture": torch.cos(torch.arange(16.0) * (1 + index % 4) + index), "label": index % 4}


@networks.register
class LatentEncoder(nn.Linear):
    """From pictures (B, 16) to latents (B, 4)."""

    def __init__(self) -> None:
        super().__init__(16, 4)


@networks.register
class LatentDenoiser(nn.Module):
    """From latents (B, 4), times (B,) and labels (B,) to noise (B, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.times, self.labels = nn.Embedding(50, 8), nn.Embedding(NOTHING + 1, 8)
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 4)

    def forward(self, latent: Tensor, t: Tensor, label: Tensor) -> Tensor:
        predicted: Tensor = self.last(torch.tanh(self.first(latent) + self.times(t) + self.labels(label)))
        return predicted


@injectors.register
def latent_noise(latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Noise latents at random times, by a linear schedule of 50 steps. Returns them, the noise and the times."""
    t = torch.randint(0, 50, (len(latent),), device=latent.device)
    noise = torch.randn_like(latent)
    kept = torch.linspace(1e-4, 0.1, 50, device=latent.device).neg().add(1).cumprod(0)[t, None]
    return kept.sqrt() * latent + (1 - kept).sqrt() * noise, noise, t


@injectors.register
def latent_dropout(label: Tensor, *, probability: float) -> Tensor:
    """Replace random labels by the one that means nothing."""
    return torch.where(torch.rand(len(label), device=label.device) < probability, NOTHING, label)
