"""Masks for spectrograms."""

from __future__ import annotations

import torch
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import Count, Natural


@injectors.register
def mel_mask(
    mel: Tensor,
    *,
    frequency_size: Count = 27,
    frequency_count: Natural = 1,
    time_size: Count = 5,
    time_count: Natural = 3,
    value: float = 0.0,
) -> Tensor:
    """Mask random stripes of a spectrogram (SpecAugment), different ones for each sample.

    Each stripe has a width n, uniform in 0..size-1, and a start s, uniform over all positions where the stripe fits.

    Args:
        mel: (B, F, T).
        frequency_size: Exclusive upper bound of the width of a frequency stripe, in bands, 1 or more.
        frequency_count: Number of frequency stripes per sample, 0 or more. A frequency stripe covers all frames.
        time_size: Exclusive upper bound of the length of a time stripe, in frames, 1 or more.
        time_count: Number of time stripes per sample, 0 or more. A time stripe covers all bands.
        value: Value inside the stripes. Use the mean of the spectrograms, which is 0 if they are normalized.

    Returns:
        (B, F, T), a new tensor.

    Source: Park et al. 2019, arXiv:1904.08779, section 2, without its time warping.
    """
    batch, bands, frames = mel.shape
    stripes = _stripes(batch, bands, frequency_size, frequency_count, mel.device)[:, :, None]
    stripes = stripes | _stripes(batch, frames, time_size, time_count, mel.device)[:, None, :]
    return mel.masked_fill(stripes, value)


def _stripes(batch: int, length: int, size: int, count: int, device: torch.device) -> Tensor:
    """Mask (batch, length): whether a position is inside one of `count` stripes."""
    widths = torch.randint(min(size, length + 1), (batch, count, 1), device=device)
    fraction = torch.rand(batch, count, 1, device=device)
    starts = (fraction * (length - widths + 1)).long()
    positions = torch.arange(length, device=device)
    return ((positions >= starts) & (positions < starts + widths)).any(1)
