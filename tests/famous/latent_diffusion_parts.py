"""Captioned images, and small encoders of images and texts for a denoiser of latents."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn

from artschool import datasets, networks


class Sample(TypedDict):
    image: Tensor
    tokens: Tensor
    no_tokens: Tensor


@datasets.register
class Captions:
    """56 images (1, 8, 8) with 3 tokens, and the tokens of an empty text."""

    def __len__(self) -> int:
        return 56

    def __getitem__(self, index: int) -> Sample:
        digits = torch.tensor([index % 2, index // 2 % 4, index // 8]) + 1
        image = torch.linspace(-1, 1, 64).view(1, 8, 8) * (index - 28) / 28
        return {"image": image, "tokens": digits, "no_tokens": torch.zeros(3, dtype=torch.int64)}


@networks.register("encoder")
class Encoder(nn.Sequential):
    """From images (B, 1, 8, 8) to latents (B, 2, 4, 4)."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 2, 2, 2))


@networks.register
class TextEncoder(nn.Sequential):
    """From tokens (B, 3) to texts (B, 3, 4)."""

    def __init__(self) -> None:
        super().__init__(nn.Embedding(8, 4))


@networks.register
class Denoiser(nn.Module):
    """From noisy latents (B, 2, 4, 4), timesteps (B,) and texts (B, 3, 4) to noise (B, 2, 4, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3, padding=1)
        self.condition = nn.Linear(13, 8)
        self.last = nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor, text: Tensor) -> Tensor:
        condition = self.condition(torch.cat([text.flatten(1), t[:, None] / 1000], 1))
        predicted: Tensor = self.last(torch.tanh(self.first(x) + condition[:, :, None, None]))
        return predicted
