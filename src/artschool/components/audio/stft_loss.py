"""Distance of two waveforms by their spectra."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from artschool.components.losses.shapes import pair
from artschool.components.precision import without_autocast
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses, metrics
from artschool.registry.signature import Count

FLOOR = 1e-5
"""Lower bound of magnitudes before the logarithm, and of the norm that divides."""
Resolution = Annotated[list[Count], Field(min_length=3, max_length=3)]
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""Those of the paper, for 24 kHz: n_fft, hop_length, win_length."""


@metrics.register(roles=ComponentRole.LOWER_IS_BETTER)
@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
class MultiResolutionStft(nn.Module):
    """Spectral convergence plus difference of log magnitudes, mean over several short-time Fourier transforms.

    For magnitudes S of the real and R of the fake waveform, over all frames and frequencies of a sample:
    `||S - R|| / ||S|| + mean |log S - log R|`, averaged over samples. Computed in float32.

    Source: Yamamoto et al. 2020, arXiv:1910.11480, eqs. 5 to 8.

    Args:
        resolutions: Parameters of each transform as `[n_fft, hop_length, win_length]`, in samples, with win_length at
            most n_fft. null: `[[1024, 120, 600], [2048, 240, 1200], [512, 50, 240]]`, the paper's for 24 kHz.
    """

    def __init__(self, *, resolutions: list[Resolution] | None = None) -> None:
        super().__init__()
        self._resolutions = [tuple(resolution) for resolution in resolutions or RESOLUTIONS]
        for index, (n_fft, _, win_length) in enumerate(self._resolutions):
            if win_length > n_fft:
                raise ConfigError(
                    f"multi_resolution_stft: resolutions.{index}: expected a win_length of at most n_fft {n_fft}, "
                    f"got {win_length}"
                )
            self.register_buffer(f"_window_{index}", torch.hann_window(win_length), persistent=False)

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Compare.

        Args:
            fake: (B, T) or (B, C, T), longer than half of the largest n_fft.
            real: Same shape as fake. Its magnitudes are the denominator of the spectral convergence.

        Returns:
            A scalar.

        Raises:
            ConfigError: The shapes differ.
        """
        fake, real = pair("multi_resolution_stft", fake, real)
        distances = []
        with without_autocast(fake):
            for index in range(len(self._resolutions)):
                r, s = self._magnitudes(fake, index), self._magnitudes(real, index)
                convergence = (s - r).norm(dim=(-2, -1)) / s.norm(dim=(-2, -1)).clamp(min=FLOOR)
                distance = (s.clamp(min=FLOOR).log() - r.clamp(min=FLOOR).log()).abs().mean((-2, -1))
                distances.append((convergence + distance).mean())
        return torch.stack(distances).mean()

    def _magnitudes(self, audio: Tensor, index: int) -> Tensor:
        n_fft, hop_length, win_length = self._resolutions[index]
        window: Tensor = getattr(self, f"_window_{index}")
        flat = audio.to(window.dtype).reshape(-1, audio.shape[-1])
        return torch.stft(flat, n_fft, hop_length, win_length, window, return_complex=True).abs()
