"""Networks of digits_gan.yml: a generator and a critic of digits that know which digit is meant."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from artschool import networks

NUM_CLASSES = 10


@networks.register
class DigitPainter(nn.Module):
    """Draws the digits it is asked for; noise of its own decides how they look.

    Args:
        latent: Numbers of noise for each digit.
        width: Channels of the last convolution; the first has twice as many.
    """

    def __init__(self, *, latent: int = 16, width: int = 32) -> None:
        super().__init__()
        self.latent = latent
        self.classes = nn.Embedding(NUM_CLASSES, latent)
        self.start = nn.Linear(2 * latent, 2 * width * 16)
        self.body = nn.Sequential(
            nn.GroupNorm(8, 2 * width),
            nn.SiLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.GroupNorm(8, 2 * width),
            nn.SiLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * width, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.SiLU(),
            nn.Conv2d(width, 1, 3, padding=1),
        )

    def forward(self, label: Tensor) -> Tensor:
        """(B,) in 0..9 to images (B, 1, 8, 8) in 0..1."""
        noise = torch.randn(len(label), self.latent, device=label.device)
        features = self.start(torch.cat([noise, self.classes(label)], 1))
        images: Tensor = self.body(features.view(len(label), -1, 4, 4)).sigmoid()
        return images


@networks.register
class DigitCritic(nn.Module):
    """Judges whether an image is real, and whether it is the digit it is said to be.

    The logit is a linear function of features plus their product with a vector of the class.

    Source: Miyato and Koyama 2018, arXiv:1802.05637, eq. 3.

    Args:
        width: Channels of the first convolution; the last two have twice as many.
    """

    def __init__(self, *, width: int = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(2 * width * 16, 2 * width),
            nn.LeakyReLU(0.2),
        )
        self.real = nn.Linear(2 * width, 1)
        self.classes = nn.Embedding(NUM_CLASSES, 2 * width)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """(B, 1, 8, 8) in 0..1 and (B,) to logits (B,)."""
        features = self.body(x)
        logits: Tensor = self.real(features).squeeze(1) + (features * self.classes(label)).sum(1)
        return logits
