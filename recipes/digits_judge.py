"""A small classifier of digits, which judges what generators of digits draw."""

from __future__ import annotations

from torch import Tensor, nn

from artschool import networks


@networks.register
class DigitJudge(nn.Module):
    """Two convolutions and a linear layer.

    Args:
        width: Channels of the first convolution; the second has twice as many.
    """

    def __init__(self, *, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.Flatten(),
            nn.Linear(2 * width * 16, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, 8, 8) in 0..1 to logits (B, 10)."""
        logits: Tensor = self.layers(x)
        return logits
