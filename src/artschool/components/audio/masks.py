"""Spectrograms with parts hidden."""

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
    """Hide random stripes of a spectrogram, other ones in each sample.

    Each stripe is n wide and starts at s, with n uniform in 0..size-1 and s uniform where it fits.

    Args:
        mel: (B, F, T).
        frequency_size: Bands that a stripe across all time is narrower than.
        frequency_count: How many stripes across all time there are in a sample.
        time_size: Frames that a stripe across all bands is shorter than.
        time_count: How many stripes across all bands there are in a sample.
        value: What stands in a stripe: the mean of the spectrograms, 0 where they are normalized.

    Returns:
        (B, F, T), another tensor.

    Source: Park et al. 2019, arXiv:1904.08779, section 2, without its time warping.
    """
    batch, bands, frames = mel.shape
    stripes = _stripes(batch, bands, frequency_size, frequency_count, mel.device)[:, :, None]
    stripes = stripes | _stripes(batch, frames, time_size, time_count, mel.device)[:, None, :]
    return mel.masked_fill(stripes, value)


def _stripes(batch: int, length: int, size: int, count: int, device: torch.device) -> Tensor:
    """(batch, length): whether a place is in one of `count` stripes."""
    widths = torch.randint(min(size, length + 1), (batch, count, 1), device=device)
    share = torch.rand(batch, count, 1, device=device)
    starts = (share * (length - widths + 1)).long()
    places = torch.arange(length, device=device)
    return ((places >= starts) & (places < starts + widths)).any(1)
