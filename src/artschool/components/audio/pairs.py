"""Longer utterances out of short ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import Natural


@injectors.register
def combine_mel(
    mel: Tensor,
    mel_lengths: Tensor,
    text: Tensor,
    text_lengths: Tensor,
    *,
    separator: Natural | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Join every two samples: the second begins where the first ends. The last of an odd number stays alone.

    Args:
        mel: (B, F, T), padded with anything.
        mel_lengths: (B,), frames of each.
        text: (B, L), whole numbers, padded with anything.
        text_lengths: (B,), tokens of each.
        separator: A token between the two texts.

    Returns:
        mel (B', F, 2 T), its lengths, text (B', 2 L) or with a separator (B', 2 L + 2), its
        lengths; B' = (B + 1) // 2, and the padding is 0.
    """
    if separator is not None:
        places = torch.arange(len(text), device=text.device)
        followed = (places % 2 == 0) & (places < len(text) - 1)
        ended = F.pad(text, (0, 1)).scatter(1, text_lengths[:, None].long(), separator)
        text, text_lengths = ended, text_lengths + followed
    return *_join(mel, mel_lengths), *_join(text, text_lengths)


def _join(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of x (B, ..., T) one after the other, without the padding between."""
    if len(x) % 2:
        x, lengths = torch.cat([x, torch.zeros_like(x[:1])]), torch.cat([lengths, torch.zeros_like(lengths[:1])])
    size = x.shape[-1]
    places = torch.arange(2 * size, device=x.device)
    first, total = lengths[0::2, None], (lengths[0::2] + lengths[1::2])[:, None]
    # A place before the end of the first is the first's, one after it the second's, which lies `size` further right.
    sources = torch.where(places < first, places, places - first + size).clamp(max=2 * size - 1)
    sources = sources.where(places < total, 0).view(-1, *[1] * (x.dim() - 2), 2 * size)
    both = torch.cat([x[0::2], x[1::2]], -1)
    joined = both.gather(-1, sources.expand(both.shape))
    return joined.masked_fill((places >= total).view(sources.shape), 0), total.squeeze(1)
