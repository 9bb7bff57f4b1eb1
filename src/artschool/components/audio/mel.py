"""Mel spectrograms."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from artschool.components.audio.bins import read_bins
from artschool.components.precision import without_autocast
from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.signature import Count, NotNegative

Scale = Literal["slaney", "htk"]
FLOOR = 1e-5
"""Lower bound of the mel bands before the logarithm."""


@injectors.register
class MelSpectrogram(nn.Module):
    """Log-mel spectrogram: `log max(basis @ |stft|^power, 1e-5)`.

    The Hann window is centered on each frame. The ends are reflected. The defaults are those of Tacotron 2. Computed
    in float32.

    Source: Shen et al. 2017, arXiv:1712.05884, section 2.1.

    Args:
        sample_rate: Sample rate of the audio in Hz.
        n_fft: Length of the Fourier transform in samples, at least `win_length`.
        win_length: Length of the window in samples, at most `n_fft`.
        hop_length: Number of samples from one frame to the next.
        n_mels: Number of mel bands.
        f_min: Lower edge of the lowest band in Hz, 0 or more and below `f_max`.
        f_max: Upper edge of the highest band in Hz, at most half of `sample_rate`.
        power: Exponent of the magnitudes that a mel band sums. 1: magnitude; 2: power.
        mel_scale: Mel scale: `slaney` is linear up to 1000 Hz and logarithmic above, `htk` is logarithmic throughout.
            Bands have equal area with both.
        normalized: Whether magnitudes are divided by the root of the sum of the squared window.
        norms: File with one number per band, by which the logarithms of that band are divided. null: no division.
        limits: Two values that become -1 and 1, after the division by `norms`. null: values stay as they are.

    Raises:
        ConfigError: The options contradict each other, or a band would be empty.
        CheckpointError: The file of norms cannot be read or has another number of bands.
    """

    _window: Tensor
    _basis: Tensor
    _scale: Tensor

    def __init__(
        self,
        *,
        sample_rate: Count = 22050,
        n_fft: Count = 1024,
        win_length: Count = 1024,
        hop_length: Count = 256,
        n_mels: Count = 80,
        f_min: NotNegative = 0.0,
        f_max: NotNegative = 8000.0,
        power: Literal[1, 2] = 1,
        mel_scale: Scale = "slaney",
        normalized: bool = False,
        norms: Path | None = None,
        limits: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        if limits is not None and limits[0] >= limits[1]:
            raise ConfigError(f"mel_spectrogram: limits: expected the lower value first, got {[*limits]}")
        self._limits = limits
        if win_length > n_fft:
            raise ConfigError(f"mel_spectrogram: win_length: expected at most n_fft {n_fft}, got {win_length}")
        self._n_fft, self._win_length, self._hop_length = n_fft, win_length, hop_length
        self._power = power
        window = torch.hann_window(win_length)
        basis = mel_basis(sample_rate, n_fft, n_mels, f_min, f_max, mel_scale)
        if normalized:
            basis = basis / float(window.square().sum()) ** (power / 2)
        scale = torch.ones(n_mels) if norms is None else read_bins(norms, ["norms"], n_mels)[0]
        self.register_buffer("_window", window, persistent=False)
        self.register_buffer("_basis", basis, persistent=False)
        self.register_buffer("_scale", scale[:, None], persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Transform.

        Args:
            audio: (B, T) or (B, 1, T) in -1..1, with T > n_fft / 2.

        Returns:
            (B, n_mels, 1 + T // hop_length), natural logarithms; with `limits` mostly in -1..1.

        Raises:
            ConfigError: The audio has several channels.
        """
        audio = audio.squeeze(1) if audio.dim() == 3 else audio
        if audio.dim() != 2:
            raise ConfigError(
                f"mel_spectrogram: expected mono audio (B, T) or (B, 1, T), got {tuple(audio.shape)}. "
                "Fix: average the channels first"
            )
        with without_autocast(audio):
            spectrum = torch.stft(
                audio.to(self._window.dtype),
                self._n_fft,
                self._hop_length,
                self._win_length,
                self._window,
                return_complex=True,
            )
            # abs() has a gradient of 0 where the spectrum is 0; a root of squares would give NaN there.
            mel = self._basis @ (spectrum.abs() ** self._power)
            mel = mel.clamp(min=FLOOR).log() / self._scale
        if self._limits is None:
            return mel
        low, high = self._limits
        return 2 * ((mel - low) / (high - low)) - 1


def mel_basis(sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float, scale: Scale) -> Tensor:
    """Triangular filters of equal area over the frequencies of a transform: (n_mels, n_fft // 2 + 1), float32.

    Band m rises from edge m to edge m + 1 and falls to edge m + 2. The `n_mels + 2` edges are equally spaced in mels.
    The height of a band is `2 / (edge[m + 2] - edge[m])`, with edges in hertz.

    Source: Slaney 1998, Auditory Toolbox, Interval technical report 1998-010; the HTK book, section 5.4.

    Raises:
        ConfigError: The range is empty or exceeds half of the sample rate, or a band contains no frequency.
    """
    if not f_min < f_max <= sample_rate / 2:
        raise ConfigError(
            f"mel_spectrogram: expected f_min < f_max <= {sample_rate / 2:g} Hz, half of sample_rate; got f_min "
            f"{f_min:g} and f_max {f_max:g}"
        )
    frequencies = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    mels = torch.linspace(_to_mel(f_min, scale), _to_mel(f_max, scale), n_mels + 2, dtype=torch.float64)
    edges = _to_hertz(mels, scale)
    width = edges.diff()
    distance = edges[:, None] - frequencies
    rising, falling = -distance[:-2] / width[:-1, None], distance[2:] / width[1:, None]
    basis = torch.minimum(rising, falling).clamp(min=0) * (2 / (edges[2:] - edges[:-2]))[:, None]
    if empty := _count_empty_bands(sample_rate, n_fft, n_mels, f_min, f_max, scale):
        raise ConfigError(
            f"mel_spectrogram: {empty} of {n_mels} bands contain no frequency. Fix: lower n_mels or raise n_fft"
        )
    return basis.float()


def _count_empty_bands(sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float, scale: Scale) -> int:
    """Count the bands that contain no frequency. In Python numbers, because tensors of a trace have no values."""
    lowest, highest = _to_mel(f_min, scale), _to_mel(f_max, scale)
    edges = [_from_mel(lowest + (highest - lowest) * i / (n_mels + 1), scale) for i in range(n_mels + 2)]
    step = sample_rate / n_fft
    return sum((math.floor(low / step) + 1) * step >= high for low, high in zip(edges[:-2], edges[2:], strict=True))


LINEAR_HERTZ = 200 / 3
"""Slaney's scale: hertz per mel below the break."""
BREAK_HERTZ = 1000.0
BREAK_MEL = BREAK_HERTZ / LINEAR_HERTZ
LOG_STEP = math.log(6.4) / 27
"""Slaney's scale: one mel above the break multiplies the frequency by the exponential of this."""


def _to_mel(hertz: float, scale: Scale) -> float:
    if scale == "htk":
        return 2595 * math.log10(1 + hertz / 700)
    return hertz / LINEAR_HERTZ if hertz < BREAK_HERTZ else BREAK_MEL + math.log(hertz / BREAK_HERTZ) / LOG_STEP


def _from_mel(mel: float, scale: Scale) -> float:
    if scale == "htk":
        return float(700 * (10 ** (mel / 2595) - 1))
    return mel * LINEAR_HERTZ if mel < BREAK_MEL else BREAK_HERTZ * math.exp((mel - BREAK_MEL) * LOG_STEP)


def _to_hertz(mels: Tensor, scale: Scale) -> Tensor:
    if scale == "htk":
        return 700 * (10 ** (mels / 2595) - 1)
    return torch.where(
        mels < BREAK_MEL, mels * LINEAR_HERTZ, BREAK_HERTZ * torch.exp((mels - BREAK_MEL).clamp(min=0) * LOG_STEP)
    )
