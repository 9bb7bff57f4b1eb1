"""Tones with their spectra, a generator of waves, and critics at two scales and one period."""

from __future__ import annotations

import math
from typing import TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from artschool import datasets, networks

LENGTH = 64
HOP = 8


class Tone(TypedDict):
    wave: Tensor
    bands: Tensor


class Bands(nn.Module):
    """From waves (B, 1, T) to logarithmic magnitudes of their spectra (B, 9, T / 8)."""

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(2 * HOP))

    def forward(self, wave: Tensor) -> Tensor:
        frames = F.pad(wave[:, 0], (HOP // 2, HOP // 2)).unfold(1, 2 * HOP, HOP)
        spectra: Tensor = torch.fft.rfft(frames * self.window).abs()
        return (spectra + 1e-2).log().transpose(1, 2)


networks.register("bands", Bands)


@datasets.register
class Tones:
    """56 tones of rising pitch: `wave` (1, 64) and `bands` (9, 8)."""

    def __len__(self) -> int:
        return 56

    def __getitem__(self, index: int) -> Tone:
        wave = torch.sin(torch.arange(LENGTH) * math.pi * (index + 1) / 60)[None]
        return {"wave": wave, "bands": Bands()(wave[None])[0]}


@networks.register
class SmallVocoder(nn.Sequential):
    """From bands (B, 9, T / 8) to waves (B, 1, T)."""

    def __init__(self) -> None:
        super().__init__(
            weight_norm(nn.Conv1d(9, 8, 3, padding=1)),
            nn.LeakyReLU(0.1),
            weight_norm(nn.ConvTranspose1d(8, 4, 2 * HOP, HOP, HOP // 2)),
            nn.LeakyReLU(0.1),
            weight_norm(nn.Conv1d(4, 1, 7, padding=3)),
            nn.Tanh(),
        )


@networks.register
class Judges(nn.Module):
    """Critics of waves (B, 1, T): one with spectral norm, one of every second mean, one of a period of 2."""

    def __init__(self) -> None:
        super().__init__()
        norms = (spectral_norm, weight_norm, weight_norm)
        self.first = nn.ModuleList(norm(nn.Conv1d(1, 4, 5, 2, 2)) for norm in norms)
        self.last = nn.ModuleList(norm(nn.Conv1d(4, 1, 3, 1, 1)) for norm in norms)

    def judged(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """The logits and the features of each critic."""
        logits, features = [], []
        for first, last, x in zip(self.first, self.last, (wave, F.avg_pool1d(wave, 2), wave[..., ::2]), strict=True):
            hidden = F.leaky_relu(first(x), 0.1)
            logits.append(last(hidden))
            features.append([hidden, logits[-1]])
        return logits, features

    def forward(self, wave: Tensor) -> list[Tensor]:
        """The logits of each critic."""
        return self.judged(wave)[0]
