"""A network of the cases, beside those of goldens/toys.py."""

import torch
from torch import Tensor, nn


class Tower(nn.Module):
    """Six features to the logits of four classes. Two parameters are its own; the names of its blocks sort as text."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.bias = nn.Parameter(torch.ones(6)), nn.Parameter(torch.zeros(6))
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6)) for _ in range(11))
        self.out = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 6) to (B, 4)."""
        x = self.bias + self.scale * x
        for block in self.blocks:
            x = x + block(x).tanh()
        logits: Tensor = self.out(x)
        return logits


MORE = {"toy_tower": Tower}
