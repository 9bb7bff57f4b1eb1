"""Images of lines in two domains, a generator between them, and a critic of patches."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn

from artschool import datasets, networks


class Sample(TypedDict):
    image: Tensor


@datasets.register
class Lines:
    """Images of upright or tilted lines: `image`, (1, 8, 8). There are 12 upright and 18 tilted ones."""

    def __init__(self, *, tilt: bool = False) -> None:
        self._tilt = tilt

    def __len__(self) -> int:
        return 18 if self._tilt else 12

    def __getitem__(self, index: int) -> Sample:
        rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
        return {"image": torch.sin(columns + self._tilt * rows + index)[None]}


@networks.register
class Translator(nn.Sequential):
    """From images (B, 1, 8, 8) to the same."""

    def __init__(self) -> None:
        # Without a bias, which the norm would remove: Adam would divide the noise of its gradient by itself.
        first = nn.Conv2d(1, 8, 3, 1, 1, bias=False)
        super().__init__(first, nn.InstanceNorm2d(8), nn.ReLU(), nn.Conv2d(8, 1, 3, 1, 1), nn.Tanh())


@networks.register
class Patches(nn.Sequential):
    """From images (B, 1, 8, 8) to logits (B, 1, 4, 4)."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 3, 1, 1))
