"""Points of two classes, most of them without a label, and a classifier."""

from __future__ import annotations

import math
from typing import TypedDict

import torch
from torch import Tensor, nn

from artschool import datasets, losses, networks


class Sample(TypedDict):
    point: Tensor
    label: int


@datasets.register
class HalfLabeled:
    """64 points, (2,), on two circles. One in four has the label 0 or 1, the others have -100."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Sample:
        label, angle = index % 2, 2 * math.pi * index / len(self)
        point = (1.0 + label) * torch.tensor([math.cos(angle), math.sin(angle)])
        return {"point": point, "label": label if index % 8 < 2 else -100}


@networks.register
class MeanTeacherNet(nn.Sequential):
    """From points (B, 2) to logits (B, 2)."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))


@losses.register(mean_over="samples")
def consistency(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean squared difference between the probabilities of student and teacher."""
    return (logits.softmax(1) - targets.softmax(1)).square().mean()
