"""How far apart two waveforms are, as they sound rather than sample by sample."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from artschool.components.losses.pixel import pair
from artschool.components.losses.precision import without_autocast
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses, metrics
from artschool.registry.signature import Count

FLOOR = 1e-5
"""What magnitudes are raised to before the logarithm."""
Resolution = Annotated[list[Count], Field(min_length=3, max_length=3)]
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""Of the paper, for 24 kHz."""


@metrics.register(roles=ComponentRole.LOWER_IS_BETTER)
@losses.register(roles=ComponentRole.MINIMIZED)
class MultiResolutionStft(nn.Module):
    """Spectral convergence and difference of logarithms, mean over several short-time Fourier transforms.

    For magnitudes S of the real and R of the fake waveform, each over all frames and frequencies of a sample:
    `||S - R|| / ||S|| + mean |log S - log R|`. Means over samples. Computed in float32.

    Source: Yamamoto et al. 2020, arXiv:1910.11480, eqs. 5 to 8.

    Args:
        resolutions: Of each transform: samples transformed, samples from frame to frame, samples under the window.
    """

    def __init__(self, *, resolutions: list[Resolution] | None = None) -> None:
        super().__init__()
        self._resolutions = [tuple(resolution) for resolution in resolutions or RESOLUTIONS]
        for index, (n_fft, _, win_length) in enumerate(self._resolutions):
            if win_length > n_fft:
                raise ConfigError(f"multi_resolution_stft: a window of {win_length} does not fit into {n_fft} samples")
            self.register_buffer(f"_window_{index}", torch.hann_window(win_length), persistent=False)

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Compare.

        Args:
            fake: (B, T) or (B, C, T), longer than half of every transform.
            real: The same shape; spectral convergence is a share of its magnitudes.

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
