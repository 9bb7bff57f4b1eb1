"""The components of whole.yml."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn

from artschool.registry import datasets, networks


class Pair(TypedDict):
    """A sample."""

    lq: Tensor
    hq: Tensor


@datasets.register("own_pairs")
class Pairs:
    """Eight random pictures."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Pair:
        generator = torch.Generator().manual_seed(index)
        return {
            "lq": torch.rand(3, 4, 4, generator=generator),
            "hq": torch.rand(3, 8, 8, generator=generator),
        }


@networks.register("own_upscaler")
def upscaler(width: int) -> nn.Module:
    """(B, 3, H, W) to (B, 3, 2H, 2W)."""
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 12, 1), nn.PixelShuffle(2))


@networks.register("own_critic")
def critic(width: int) -> nn.Module:
    """(B, 3, H, W) to logits."""
    return nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, 1, 1))
