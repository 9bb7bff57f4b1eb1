"""Images of a dot, and an autoencoder of them."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from artschool import datasets, injectors, losses, networks


class Sample(TypedDict):
    dot: Tensor


@datasets.register("vae_dots")
class Dots:
    """64 images with one pixel of 1: `dot`, (64,)."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Sample:
        return {"dot": torch.eye(64)[index]}


@networks.register("vae_encoder")
class Encoder(nn.Module):
    """From images (B, 64) to mean and logarithm of the variance, each (B, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 4))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.layers(x).chunk(2, dim=1)
        return mean, log_variance


@networks.register("vae_decoder")
class Decoder(nn.Sequential):
    """From latents (B, 2) to logits (B, 64)."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 64))


@injectors.register("vae_sample")
def sample(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Draw from the normal distribution of each sample."""
    return mean + (log_variance / 2).exp() * torch.randn_like(mean)


@losses.register("vae_reconstruction", mean_over="samples")
def reconstruction(logits: Tensor, target: Tensor) -> Tensor:
    """Negative log likelihood of a Bernoulli decoder, summed over a sample."""
    return binary_cross_entropy_with_logits(logits, target, reduction="sum") / len(logits)
