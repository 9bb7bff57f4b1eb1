"""Points in three clusters, of which some have labels, and the parts of FixMatch."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from artschool import datasets, injectors, losses, networks


class Sample(TypedDict):
    x: Tensor
    label: int


@datasets.register
class Blobs:
    """Points (2,) around three centers, numbered from `start`."""

    def __init__(self, labels: int, start: int = 0) -> None:
        self._numbers = range(start, start + labels)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Sample:
        number = self._numbers[index]
        generator = torch.Generator().manual_seed(number)
        center = torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.0, -1.0]])[number % 3]
        return {"x": center + 0.3 * torch.randn(2, generator=generator), "label": number % 3}


@networks.register
class Classifier(nn.Sequential):
    """From points (B, 2) to logits (B, 3)."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


@injectors.register
def cut(logits: Tensor, labelled: Tensor, unlabelled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The logits of labelled points, and of unlabelled ones with the weak and the strong augmentation."""
    first, second, third = logits.split([len(labelled), len(unlabelled), len(unlabelled)])
    return first, second, third


@losses.register
def pseudo_labels(prediction: Tensor, guess: Tensor, *, threshold: float) -> Tensor:
    """Equation 4: the cross-entropy with the class that is guessed, where the guess is confident."""
    confidence, label = guess.detach().softmax(1).max(1)
    return ((confidence >= threshold) * cross_entropy(prediction, label, reduction="none")).mean()
