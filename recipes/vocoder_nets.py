"""A small vocoder, and the critic that listens to it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool import networks


@networks.register
class Vocoder(nn.Module):
    """Transposed convolutions from frames to samples, residual blocks between: Kong et al. 2020, HiFi-GAN, section 2.2.

    Args:
        bands: Of the spectrogram.
        width: Channels before the first of them; each halves it.
        factors: How many times longer each makes the sequence: together the hop of the spectrogram.
    """

    def __init__(self, *, bands: int = 40, width: int = 128, factors: list[int] = [8, 4, 4]) -> None:  # noqa: B006
        super().__init__()
        layers: list[nn.Module] = [nn.Conv1d(bands, width, 7, padding=3)]
        for factor in factors:
            layers += [
                nn.LeakyReLU(0.1),
                nn.ConvTranspose1d(width, width // 2, 2 * factor, stride=factor, padding=factor // 2),
                *(Residual(width // 2, dilation) for dilation in (1, 3, 9)),
            ]
            width //= 2
        self.layers = nn.Sequential(*layers, nn.LeakyReLU(0.1), nn.Conv1d(width, 1, 7, padding=3), nn.Tanh())

    def forward(self, mel: Tensor) -> Tensor:
        """(B, bands, 1 + T / hop) to (B, 1, T) in -1..1. The last frame is centred on the end, and has no samples."""
        return self.layers(mel[..., :-1])


class Residual(nn.Module):
    """A dilated convolution beside the identity."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, T) to the same."""
        return x + self.conv(F.leaky_relu(x, 0.1))


@networks.register
class WaveCritic(nn.Module):
    """Strided convolutions over the waveform, and over it at half the rate: Kumar et al. 2019, MelGAN, section 2.2.

    Args:
        width: Channels of the first convolution; they double with each of the next two.
    """

    def __init__(self, *, width: int = 16) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(1, width, 15, padding=7),
                nn.LeakyReLU(0.2),
                nn.Conv1d(width, 2 * width, 21, stride=4, padding=10, groups=4),
                nn.LeakyReLU(0.2),
                nn.Conv1d(2 * width, 4 * width, 21, stride=4, padding=10, groups=8),
                nn.LeakyReLU(0.2),
                nn.Conv1d(4 * width, 4 * width, 5, padding=2),
                nn.LeakyReLU(0.2),
                nn.Conv1d(4 * width, 1, 3, padding=1),
            )
            for _ in range(2)
        )

    def forward(self, audio: Tensor) -> Tensor:
        """(B, 1, T) to logits (B, N) of all places of both rates."""
        half = F.avg_pool1d(audio, 4, stride=2, padding=1)
        return torch.cat([scale(x).flatten(1) for scale, x in zip(self.scales, (audio, half), strict=True)], 1)
