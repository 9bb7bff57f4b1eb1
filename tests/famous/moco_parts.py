"""Waves, and an encoder with a batch norm that always uses the batch."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from artschool import datasets, networks


class Sample(TypedDict):
    wave: Tensor


@datasets.register
class Waves:
    """32 waves: `wave`, (16,)."""

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> Sample:
        return {"wave": torch.sin(torch.arange(16) * (index + 1) / 16)}


@networks.register
class Encoder(nn.Module):
    """From waves (B, 16) to embeddings of length 1, (B, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(16, 32), nn.BatchNorm1d(32, track_running_stats=False), nn.ReLU(), nn.Linear(32, 8)
        )

    def forward(self, x: Tensor) -> Tensor:
        return normalize(self.layers(x), dim=1)
