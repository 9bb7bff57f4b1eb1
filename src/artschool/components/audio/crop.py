"""Cropping and folding of audio."""

from __future__ import annotations

import torch
from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.signature import Count

LARGE = 2**62
"""Exclusive upper bound of a random whole number. Its remainder modulo a length is uniform to within 1e-10."""


@injectors.register
def random_audio_crop(
    audio: Tensor, lengths: Tensor | None = None, *, crop_size: Count | list[Count]
) -> tuple[Tensor, Tensor]:
    """Cut the same random segment from every sample of a batch.

    Args:
        audio: (B, ..., T), the audio to cut.
        lengths: (B,), number of valid audio samples of each item. The segment ends before the shortest item does. If
            that item is shorter than the segment, the segment starts at 0 and includes padding. null: T for all items.
        crop_size: Length of the segment in audio samples, 1 or more, or `[min, max]` (both inclusive), from which each
            batch draws a length. Limited to T.

    Returns:
        (B, ..., crop), and the start of the segment, a whole number ().

    Raises:
        ConfigError: `crop_size` is not a valid range.
    """
    low, high = _range(crop_size)
    size = low if low == high else int(torch.randint(low, high + 1, ()))
    size = min(size, audio.shape[-1])
    last = audio.shape[-1] - size if lengths is None else (lengths.min() - size).clamp(min=0)
    # Drawn and used on the device: reading the shortest length here would synchronize.
    start = torch.randint(LARGE, (), device=audio.device) % (last + 1)
    return audio.index_select(-1, start + torch.arange(size, device=audio.device)), start


def _range(crop_size: int | list[int]) -> tuple[int, int]:
    if isinstance(crop_size, int):
        return crop_size, crop_size
    if len(crop_size) != 2 or crop_size[0] > crop_size[1]:
        raise ConfigError(f"random_audio_crop: crop_size: expected a number or [min, max], got {crop_size}")
    return crop_size[0], crop_size[1]


@injectors.register
def audio_clip(audio: Tensor, codes: Tensor, *, clip_size: Count) -> tuple[Tensor, Tensor]:
    """Keep the beginning of the audio and the same fraction of its codes, rounded down.

    Args:
        audio: (B, ..., T), the audio to cut.
        codes: (B, L), spaced evenly over the audio.
        clip_size: Number of audio samples to keep, 1 or more. Shorter audio is unchanged.

    Returns:
        (B, ..., T') and (B, L') with T' = min(T, clip_size) and L' = L * T' // T.
    """
    whole = audio.shape[-1]
    kept = min(whole, clip_size)
    return audio[..., :kept], codes[..., : codes.shape[-1] * kept // whole]


@injectors.register
def audio_unshuffle(x: Tensor, *, compression: Count) -> Tensor:
    """Fold successive samples into channels: pixel unshuffle in one dimension.

    Args:
        x: (B, C, T), where T is a multiple of `compression`.
        compression: Number of successive samples to fold into channels, 1 or more.

    Returns:
        (B, C * compression, T / compression). Channel `c * compression + i` has every `compression`-th sample of
        channel c, starting at sample i.

    Source: Shi et al. 2016, arXiv:1609.05158, section 3.2, the inverse operation in one dimension.

    Raises:
        ConfigError: T is not a multiple of `compression`.
    """
    batch, channels, length = x.shape
    if length % compression:
        raise ConfigError(
            f"audio_unshuffle: expected a length that is a multiple of compression {compression}, got {length}. "
            "Fix: pad the audio with the injector `pad`"
        )
    folded = x.reshape(batch, channels, length // compression, compression)
    return folded.transpose(2, 3).reshape(batch, channels * compression, length // compression)
