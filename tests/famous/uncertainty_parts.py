"""Numbers with their sum and its sign, and a network that predicts both."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn

from artschool import datasets, networks


class Sample(TypedDict):
    x: Tensor
    target: Tensor
    label: Tensor


@datasets.register
class Sums:
    """32 samples: `x`, (3,), its sum `target`, (1,), and whether that is positive, `label`."""

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> Sample:
        x = torch.randn(3, generator=torch.Generator().manual_seed(index))
        return {"x": x, "target": x.sum()[None], "label": (x.sum() > 0).long()}


@networks.register
class TwoHeads(nn.Module):
    """From (B, 3) to a number (B, 1) and logits of two classes (B, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(3, 16), nn.Tanh())
        self.sum, self.sign = nn.Linear(16, 1), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(x)
        return self.sum(features), self.sign(features)
