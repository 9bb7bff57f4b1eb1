"""Images of discs, a generator with a style for each of two layers, and a critic."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from artschool import datasets, networks


class Sample(TypedDict):
    image: Tensor


@datasets.register
class Discs:
    """32 images of a disc: `image`, (1, 8, 8) in 0..1."""

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> Sample:
        y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
        distance = (y - 2 - index % 4).square() + (x - 2 - index // 8).square()
        return {"image": (distance < 6).float()[None]}


@networks.register
class Styled(nn.Module):
    """Styles (B, 2, 8) to images (B, 1, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 8))
        self.start = nn.Parameter(torch.randn(1, 6, 4, 4))
        self.scales = nn.ModuleList(nn.Linear(8, 6) for _ in range(2))
        self.layers = nn.ModuleList(nn.Conv2d(6, 6, 3, padding=1) for _ in range(2))
        self.last = nn.Conv2d(6, 1, 1)

    def styles(self, z: Tensor) -> Tensor:
        """Mix the styles of two latent codes (B, 2, 4): layers from a random one on take that of the second."""
        styles = self.mapping(z)
        cut = torch.randint(1, 3, (len(z), 1, 1), device=z.device)
        return torch.where(torch.arange(2, device=z.device)[None, :, None] < cut, styles[:, :1], styles[:, 1:])

    def forward(self, styles: Tensor) -> Tensor:
        """(B, 2, 8) to (B, 1, 8, 8)."""
        x = self.start.expand(len(styles), -1, -1, -1)
        for index, (scale, layer) in enumerate(zip(self.scales, self.layers, strict=True)):
            x = leaky_relu(layer(x * (1 + scale(styles[:, index]))[:, :, None, None]), 0.2)
            x = interpolate(x, scale_factor=2) if index == 0 else x
        return self.last(x)


@networks.register
class ShapesCritic(nn.Sequential):
    """From images (B, 1, 8, 8) to logits (B, 1)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 8, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 8, 3, 2, 1), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(32, 1),
        )  # fmt: skip
