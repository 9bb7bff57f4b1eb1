"""Points of two domains, of which one has labels, and two networks."""

from __future__ import annotations

import math
from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from artschool import datasets, losses, networks


class Pair(TypedDict):
    source: Tensor
    is_inside: Tensor
    target: Tensor


@datasets.register
class TwoDomains:
    """64 pairs of a source point, (2,), with its label, (1,), and a target point, (2,): two rings, moved and turned."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Pair:
        return {
            "source": _on_ring(index),
            "is_inside": torch.tensor([float(index % 2)]),
            "target": 0.8 * _on_ring(index + 17) + 0.3,
        }


def _on_ring(index: int) -> Tensor:
    angle, radius = 2 * math.pi * index / 64, 0.5 if index % 2 else 1.0
    return radius * torch.tensor([math.cos(angle), math.sin(angle)])


@networks.register
class Features(nn.Sequential):
    """From points (B, 2) to features (B, 8)."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 8))


@networks.register
class Head(nn.Sequential):
    """From features (B, 8) to logits (B, 1)."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))


@losses.register(mean_over="samples")
def logistic_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross entropy of logits (B, 1) with labels (B, 1)."""
    return binary_cross_entropy_with_logits(logits, labels)
