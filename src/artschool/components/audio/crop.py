"""Stretches of audio."""

from __future__ import annotations

import torch
from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.signature import Count

LARGE = 2**62
"""A random whole number below it, modulo a length, is uniform to within 1e-10."""


@injectors.register
def random_audio_crop(
    audio: Tensor, lengths: Tensor | None = None, *, crop_size: Count | list[Count]
) -> tuple[Tensor, Tensor]:
    """Cut the same random stretch from every sample.

    Args:
        audio: (B, ..., T), what is cut.
        lengths: (B,), how long each sample is without its padding: the stretch ends before the shortest does. Where the
            shortest is shorter than the stretch, that begins at 0 and has padding in it.
        crop_size: How long the stretch is, or the least and the most, between which each batch draws. No more than T.

    Returns:
        (B, ..., crop), and where it begins, a whole number ().

    Raises:
        ConfigError: `crop_size` is no range.
    """
    low, high = _range(crop_size)
    size = low if low == high else int(torch.randint(low, high + 1, ()))
    size = min(size, audio.shape[-1])
    last = audio.shape[-1] - size if lengths is None else (lengths.min() - size).clamp(min=0)
    # Drawn and used on the device: the shortest length is not known here without waiting for it.
    start = torch.randint(LARGE, (), device=audio.device) % (last + 1)
    return audio.index_select(-1, start + torch.arange(size, device=audio.device)), start


def _range(crop_size: int | list[int]) -> tuple[int, int]:
    if isinstance(crop_size, int):
        return crop_size, crop_size
    if len(crop_size) != 2 or crop_size[0] > crop_size[1]:
        raise ConfigError(f"random_audio_crop: crop_size {crop_size} is no range; write [least, most]")
    return crop_size[0], crop_size[1]


@injectors.register
def audio_clip(audio: Tensor, codes: Tensor, *, clip_size: Count) -> tuple[Tensor, Tensor]:
    """Cut audio to its beginning, and the codes that spell it by the same share, rounded down.

    Args:
        audio: (B, ..., T), what is cut.
        codes: (B, L), spread evenly over the audio.
        clip_size: How many samples stay; shorter audio stays whole.

    Returns:
        (B, ..., T') and (B, L') with T' = min(T, clip_size) and L' = L * T' // T.
    """
    whole = audio.shape[-1]
    kept = min(whole, clip_size)
    return audio[..., :kept], codes[..., : codes.shape[-1] * kept // whole]


@injectors.register
def audio_unshuffle(x: Tensor, *, compression: Count) -> Tensor:
    """Fold successive samples into channels, as pixel unshuffling does in images.

    Args:
        x: (B, C, T), with T a multiple of `compression`.
        compression: How many samples become channels.

    Returns:
        (B, C * compression, T / compression); channel `c * compression + i` has every
        `compression`-th sample of channel c from sample i on.

    Source: Shi et al. 2016, arXiv:1609.05158, section 3.2, undone and in one dimension.

    Raises:
        ConfigError: T is no multiple.
    """
    batch, channels, length = x.shape
    if length % compression:
        raise ConfigError(f"audio_unshuffle: length {length} is no multiple of {compression}; `pad` makes it one")
    folded = x.reshape(batch, channels, length // compression, compression)
    return folded.transpose(2, 3).reshape(batch, channels * compression, length // compression)
