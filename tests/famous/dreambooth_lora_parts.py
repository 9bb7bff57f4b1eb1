"""Images of a subject and of its class, and a denoiser with attention."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn

from artschool import datasets, networks


class Sample(TypedDict):
    image: Tensor
    prompt: int


@datasets.register
class Subject:
    """4 images of a subject: `image`, (1, 4, 4), with the number of its prompt."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Sample:
        return {"image": _image(0) + 0.1 * _image(index + 1), "prompt": 1}


@datasets.register
class ClassImages:
    """64 images of its class: `image`, (1, 4, 4), with the number of their prompt."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Sample:
        return {"image": _image(index + 5), "prompt": 0}


def _image(seed: int) -> Tensor:
    return torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1


class Attention(nn.Module):
    """Attention of the pixels of an image to each other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width, bias=False) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return x + nn.functional.scaled_dot_product_attention(self.to_q(x), self.to_k(x), self.to_v(x))


@networks.register
class SmallDenoiser(nn.Module):
    """From images (B, 1, 4, 4), timesteps (B,) and prompts (B,) to the noise in them."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(1, width), nn.Linear(width, 1)
        self.position = nn.Parameter(torch.randn(16, width))
        self.prompt = nn.Embedding(2, width)
        self.blocks = nn.ModuleList([Attention(width) for _ in range(2)])

    def forward(self, x: Tensor, t: Tensor, prompt: Tensor) -> Tensor:
        pixels = self.first(x.flatten(1).unsqueeze(-1)) + self.position
        pixels = pixels + (self.prompt(prompt) + t.unsqueeze(-1) / 1000).unsqueeze(1)
        for block in self.blocks:
            pixels = block(pixels)
        noise: Tensor = self.last(pixels).squeeze(-1).view_as(x)
        return noise
