"""Crops of images of stripes, a small backbone with a head, and the loss with its center."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from artschool import Context, Scheduled, all_gather, datasets, losses, networks


class Sample(TypedDict):
    wholes: Tensor
    parts: Tensor


@datasets.register
class DinoCrops:
    """64 images of stripes: `wholes`, (2, 1, 8, 8), and `parts`, (4, 1, 4, 4), at random places."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Sample:
        image = torch.sin(torch.arange(12.0)[:, None] * (1 + index % 4) + torch.arange(12.0) * (index % 3))
        return {"wholes": _crops(image, 2, 8), "parts": _crops(image, 4, 4)}


def _crops(image: Tensor, number: int, size: int) -> Tensor:
    places = torch.randint(0, 12 - size + 1, (number, 2)).tolist()
    return torch.stack([image[None, y : y + size, x : x + size] for y, x in places])


@networks.register
class DinoBackbone(nn.Module):
    """From crops (B, N, 1, H, W) to features (B, N, 8) of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.head = nn.Linear(8, 8)

    def forward(self, crops: Tensor) -> Tensor:
        features = self.norm(self.convolution(crops.flatten(0, 1))).relu().mean((2, 3))
        return normalize(self.head(features)).reshape(*crops.shape[:2], -1)


@networks.register
class DinoHead(nn.Module):
    """The last layer, whose rows have length 1: from features (B, N, 8) to logits (B, N, 12)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(12, 8))

    def forward(self, features: Tensor) -> Tensor:
        return linear(features, normalize(self.weight))


@losses.register(mean_over="samples")
class Dino(nn.Module):
    """Cross entropy between each whole of the teacher, centered and sharpened, and every other crop of the student."""

    center: Tensor

    def __init__(self, classes: int = 12, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("center", torch.zeros(classes))

    def forward(
        self, targets: Tensor, wholes: Tensor, parts: Tensor, *, temperature: Scheduled = 0.04, context: Context
    ) -> Tensor:
        """(B, 2, classes), (B, 2, classes), (B, 4, classes) to a scalar."""
        taught = ((targets - self.center) / temperature).softmax(-1)
        learned = (torch.cat([wholes, parts], 1) / 0.1).log_softmax(-1)
        entropies = -torch.einsum("btk,bsk->bts", taught, learned)
        others = 1 - torch.eye(2, entropies.shape[2], device=entropies.device)  # Not the same crop.
        if context.training:
            # Of the samples of all processes, as equation 4 has it. So each of them has the same center.
            self.center = self.center.lerp(all_gather(targets.float()).mean((0, 1)), 1 - self.momentum)
        return (entropies * others).sum((1, 2)).mean() / others.sum()
