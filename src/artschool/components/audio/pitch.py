"""Pitch of speech and music."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.precision import at_least_float32, without_autocast
from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.signature import Count, Positive, UnitInterval

ROUNDING = 1e-5
"""Differences of this part of the energy, or less, come from rounding in float32."""


@injectors.register
class Pitch:
    """Fundamental frequency and voicing of each frame, by YIN.

    The frames are those of `mel_spectrogram` with the same `hop_length`: centered, with the ends reflected. A frame is
    voiced if its difference from itself, one period later, has a minimum below `threshold`, as a part of the mean
    difference at shorter lags. Computed in float32 or better, without gradients.

    Source: de Cheveigne and Kawahara 2002, YIN, a fundamental frequency estimator for speech and music,
    doi:10.1121/1.1458024, steps 1 to 5.

    Args:
        sample_rate: Sample rate of the audio in Hz.
        hop_length: Number of samples from one frame to the next.
        f_min: Lowest frequency in Hz, above 0. A frame has two of its periods.
        f_max: Highest frequency in Hz, above `f_min` and at most a quarter of `sample_rate`.
        threshold: Highest minimum of a voiced frame, in 0..1. A higher one finds more voiced frames.

    Raises:
        ConfigError: The range is empty or too high for the sample rate.
    """

    def __init__(
        self,
        *,
        sample_rate: Count = 22050,
        hop_length: Count = 256,
        f_min: Positive = 60.0,
        f_max: Positive = 800.0,
        threshold: UnitInterval = 0.15,
    ) -> None:
        if not f_min < f_max <= sample_rate / 4:
            raise ConfigError(
                f"pitch: expected f_min < f_max <= {sample_rate / 4:g} Hz, a quarter of sample_rate; got f_min "
                f"{f_min:g} and f_max {f_max:g}"
            )
        self._rate, self._hop, self._threshold = sample_rate, hop_length, threshold
        self._shortest, self._longest = math.floor(sample_rate / f_max), math.ceil(sample_rate / f_min)

    def __call__(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate.

        Args:
            audio: (B, T) or (B, 1, T), with T longer than a period of `f_min`.

        Returns:
            Frequencies in Hz, 0 where a frame is not voiced, and 1 for each voiced frame and 0 for others; both
            (B, 1 + T // hop_length).

        Raises:
            ConfigError: The audio has several channels or is too short.
        """
        audio = audio.squeeze(1) if audio.dim() == 3 else audio
        if audio.dim() != 2 or audio.shape[1] <= self._longest + 1:
            raise ConfigError(
                f"pitch: expected mono audio (B, T) or (B, 1, T) of more than {self._longest + 1} samples, got "
                f"{tuple(audio.shape)}"
            )
        with torch.no_grad(), without_autocast(audio):
            half = self._longest + 1
            padded = F.pad(at_least_float32(audio)[:, None], (half, half), mode="reflect")[:, 0]
            return self._estimate(*_differences(padded.unfold(1, 2 * half, self._hop)))

    def _estimate(self, differences: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        """Frequencies and voicing, (B, frames), from what `_differences` returns."""
        lags = torch.arange(1, differences.shape[2], device=differences.device)
        sums = differences[..., 1:].cumsum(2)
        # Silence and constants have no pitch: they differ from themselves by rounding alone.
        shares = torch.where(sums > ROUNDING * energy * lags, differences[..., 1:] * lags / sums, 1.0)
        before, here, after = shares[..., :-2], shares[..., 1:-1], shares[..., 2:]
        found = (here < before) & (here <= after) & (here < self._threshold) & (lags[1:-1] >= self._shortest)
        # The first one: later minima are multiples of the period.
        lag = found.byte().argmax(2, keepdim=True) + 2
        low, middle, high = (differences.gather(2, lag + offset) for offset in (-1, 0, 1))
        curvature = low - 2 * middle + high
        shift = torch.where(curvature > 0, (low - high) / (2 * curvature), 0.0).clamp(-1, 1)
        voiced = found.any(2).to(differences.dtype)
        return voiced * self._rate / (lag + shift)[..., 0], voiced


def _differences(frames: Tensor) -> tuple[Tensor, Tensor]:
    """How far frames differ from themselves later, and their energy.

    Args:
        frames: (..., 2 W).

    Returns:
        `sum over j < W of (x[j] - x[j + lag])^2` for each lag from 0 to W, (..., W + 1), and the energy of the first W
        samples, (..., 1).
    """
    window = frames.shape[-1] // 2
    size = 2 * frames.shape[-1]
    spectrum = torch.fft.rfft(frames, size)
    products = torch.fft.irfft(torch.fft.rfft(frames[..., :window], size).conj() * spectrum, size)[..., : window + 1]
    energies = F.pad(frames.square().cumsum(-1), (1, 0))
    energies = energies[..., window:] - energies[..., : window + 1]
    return (energies[..., :1] + energies - 2 * products).clamp(min=0), energies[..., :1]
