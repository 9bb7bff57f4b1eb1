"""Parts whose arithmetic is exact in float32, so that the stored numbers are the same on every machine."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn

from artschool import Context, datasets, injectors, networks


class Sample(TypedDict):
    """One sample."""

    x: Tensor
    y: Tensor


@datasets.register("stored_eighths")
class Eighths:
    """Sixteen samples of small multiples of one eighth."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> Sample:
        start = torch.arange(4) + index
        return {"x": (start % 5 - 2) / 8.0, "y": (start % 3 - 1) / 4.0}


@networks.register("stored_scale")
class Scale(nn.Module):
    """`weight * x + bias`, element by element; counts its calls in a buffer."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5, -0.5, 1.0, 0.25]))
        self.bias = nn.Parameter(torch.zeros(4))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 4). Returns the same shape."""
        if self.training:
            self.calls += 1
        return self.weight * x + self.bias


@injectors.register("stored_noise")
def dyadic_noise(x: Tensor, context: Context) -> Tensor:
    """Add -1/8, 0 or 1/8 at random."""
    draws = torch.randint(-1, 2, x.shape, generator=context.generator, device=x.device)
    return x + draws / 8.0
