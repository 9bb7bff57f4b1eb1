"""Resampling of audio."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool.components.precision import without_autocast
from artschool.registry import injectors
from artschool.registry.signature import Count

ZERO_CROSSINGS = 6
"""Number of zero crossings of the sinc on each side of its center; more make a steeper filter."""
ROLLOFF = 0.99
"""Cutoff of the filter, as a fraction of the lower of the two Nyquist frequencies."""


@injectors.register
class AudioResample(nn.Module):
    """Resample by a windowed sinc, which removes frequencies above the new Nyquist frequency.

    Sample n of the result is `sum_k x[k] h(n / to - k / from)` with `h(t) = 2 f sinc(2 f t) cos(pi f t / 6)^2` up to
    six zero crossings and f = 0.99 min(from, to) / 2, all in units of `from`. The signal is 0 beyond its ends.
    Differentiable. It agrees with torchaudio's default. Computed in float32.

    Source: Smith, Digital Audio Resampling Home Page, ccrma.stanford.edu/~jos/resample.

    Args:
        from_rate: Sample rate of the input in Hz, a whole number.
        to_rate: Sample rate of the output in Hz, a whole number.
    """

    _kernels: Tensor

    def __init__(self, *, from_rate: Count, to_rate: Count) -> None:
        super().__init__()
        divisor = math.gcd(from_rate, to_rate)
        self._from, self._to = from_rate // divisor, to_rate // divisor
        kernels, self._reach = sinc_kernels(self._from, self._to)
        self.register_buffer("_kernels", kernels, persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Resample.

        Args:
            audio: (..., T), floating point.

        Returns:
            (..., ceil(T * to_rate / from_rate)), float32; `audio` itself where the rates are equal.
        """
        if self._from == self._to:
            return audio
        length = -(-audio.shape[-1] * self._to // self._from)
        with without_autocast(audio):
            flat = audio.to(self._kernels.dtype).reshape(-1, 1, audio.shape[-1])
            padded = F.pad(flat, (self._reach, self._reach + self._from))
            # Output channel i has the i-th of the `to` new samples in each group of `from` old ones.
            phases = F.conv1d(padded, self._kernels, stride=self._from)
        return phases.transpose(1, 2).reshape(*audio.shape[:-1], -1)[..., :length]


def sinc_kernels(from_rate: int, to_rate: int) -> tuple[Tensor, int]:
    """Return a filter for each of the `to_rate` new samples per `from_rate` old ones, and the reach of the filters.

    Args:
        from_rate: Coprime with `to_rate`.

    Returns:
        (to_rate, 1, from_rate + 2 * reach), float32, and the reach in old samples.
    """
    cutoff = ROLLOFF * min(from_rate, to_rate)
    reach = math.ceil(ZERO_CROSSINGS * from_rate / cutoff)
    old = torch.arange(-reach, reach + from_rate, dtype=torch.float64) / from_rate
    new = torch.arange(to_rate, dtype=torch.float64)[:, None] / to_rate
    crossings = ((old - new) * cutoff).clamp(-ZERO_CROSSINGS, ZERO_CROSSINGS)
    window = torch.cos(crossings * (math.pi / ZERO_CROSSINGS / 2)).square()
    kernels = torch.sinc(crossings) * window * (cutoff / from_rate)
    return kernels[:, None].float(), reach
