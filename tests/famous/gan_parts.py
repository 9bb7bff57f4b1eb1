"""Points on a circle, a generator of points, and a critic of points."""

from __future__ import annotations

import math
from typing import TypedDict

import torch
from torch import Tensor, nn

from artschool import datasets, networks


class Sample(TypedDict):
    point: Tensor


@datasets.register
class Ring:
    """64 points on a circle of radius 1: `point`, (2,)."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Sample:
        angle = 2 * math.pi * index / len(self)
        return {"point": torch.tensor([math.cos(angle), math.sin(angle)])}


@networks.register
class Points(nn.Sequential):
    """From noise (B, 4) to points (B, 2)."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))


@networks.register
class Judge(nn.Sequential):
    """From points (B, 2) to logits (B, 1)."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
