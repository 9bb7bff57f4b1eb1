"""The networks that the golden cases name. Names of modules are those of the stored weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Upscaler(nn.Module):
    """(B, 3, H, W) to (B, 3, 2H, 2W)."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.tail = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        features = F.silu(self.norm(self.head(x)))
        out: Tensor = self.tail(F.interpolate(features, scale_factor=2.0))
        return out


class Pair(nn.Module):
    """(B, 3, H, W) to two of the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3, padding=1)
        self.out = nn.Conv2d(8, 3, 3, padding=1)
        self.aux = nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x).tanh()
        return self.out(features), self.aux(features)


class Critic(nn.Module):
    """(B, 3, H, W) to logits (B, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.b = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.out = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        features = F.leaky_relu(self.b(F.leaky_relu(self.norm(self.a(x)), 0.2)), 0.2)
        logits: Tensor = self.out(features.mean((2, 3)))
        return logits


class Classifier(nn.Module):
    """(B, 6) and a token in 0..4 of each sample to logits (B, 4); it has every kind of parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 6)
        self.inp = nn.Linear(6, 12)
        self.norm = nn.LayerNorm(12)
        self.out = nn.Linear(12, 4)

    def forward(self, x: Tensor, token: Tensor) -> Tensor:
        logits: Tensor = self.out(torch.tanh(self.norm(self.inp(x + self.embed(token)))))
        return logits


class Sequence(nn.Module):
    """(B, 4, T) to logits (B, 5, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.inp = nn.Conv1d(4, 8, 3, padding=1)
        self.out = nn.Conv1d(8, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.out(self.inp(x).relu())
        return logits


TOYS: dict[str, type[nn.Module]] = {
    "toy_upscaler": Upscaler,
    "toy_pair": Pair,
    "toy_critic": Critic,
    "toy_classifier": Classifier,
    "toy_sequence": Sequence,
}
