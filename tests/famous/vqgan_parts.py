"""Small images, an autoencoder with a codebook, and a critic of patches."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn

from artschool import datasets, networks


class Sample(TypedDict):
    image: Tensor


@datasets.register
class Stripes:
    """32 images of stripes: `image`, (1, 8, 8)."""

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> Sample:
        rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
        return {"image": torch.sin(rows * (index % 8) / 4 + columns * (index // 8) / 2)[None]}


@networks.register
class Autoencoder(nn.Module):
    """From images (B, 1, 8, 8) to reconstructions, and the distance between codes and latents (eq. 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 8, 4, 2, 1), nn.ReLU(), nn.Conv2d(8, 4, 3, 1, 1))
        self.codes = nn.Embedding(16, 4)
        self.first = nn.Sequential(nn.Conv2d(4, 8, 3, 1, 1), nn.ReLU(), nn.Upsample(scale_factor=2))
        self.last = nn.Conv2d(8, 1, 3, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        latent = self.encoder(x)
        flat = latent.movedim(1, -1)
        nearest = (flat[..., None, :] - self.codes.weight).square().sum(-1).argmin(-1)
        code = self.codes(nearest).movedim(-1, 1)
        distance = (latent.detach() - code).square() + 0.25 * (latent - code.detach()).square()
        return self.last(self.first(latent + (code - latent).detach())), distance.mean((1, 2, 3))


@networks.register
class Patches(nn.Sequential):
    """From images (B, 1, 8, 8) to logits (B, 1, 4, 4)."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 3, 1, 1))
