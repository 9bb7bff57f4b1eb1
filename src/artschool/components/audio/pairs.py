"""Pairs of short utterances joined to longer ones."""

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
    """Join successive samples in pairs: the second starts where the first ends. An unpaired last sample stays alone.

    Args:
        mel: (B, F, T), with arbitrary padding.
        mel_lengths: (B,), number of frames of each sample.
        text: (B, L), whole numbers, with arbitrary padding.
        text_lengths: (B,), number of tokens of each sample.
        separator: Token inserted between two joined texts, 0 or more. null: none.

    Returns:
        mel (B', F, 2 T), its lengths, text (B', 2 L) or with a separator (B', 2 L + 2), its lengths; B' = (B + 1) // 2,
        and the padding is 0.
    """
    if separator is not None:
        positions = torch.arange(len(text), device=text.device)
        followed = (positions % 2 == 0) & (positions < len(text) - 1)
        ended = F.pad(text, (0, 1)).scatter(1, text_lengths[:, None].long(), separator)
        text, text_lengths = ended, text_lengths + followed
    return *_join(mel, mel_lengths), *_join(text, text_lengths)


def _join(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Join pairs of x (B, ..., T), without the padding between them."""
    if len(x) % 2:
        x, lengths = torch.cat([x, torch.zeros_like(x[:1])]), torch.cat([lengths, torch.zeros_like(lengths[:1])])
    size = x.shape[-1]
    positions = torch.arange(2 * size, device=x.device)
    first, total = lengths[0::2, None], (lengths[0::2] + lengths[1::2])[:, None]
    # Positions before the end of the first sample read from it, later ones from the second, which starts at `size`.
    sources = torch.where(positions < first, positions, positions - first + size).clamp(max=2 * size - 1)
    sources = sources.where(positions < total, 0).view(-1, *[1] * (x.dim() - 2), 2 * size)
    both = torch.cat([x[0::2], x[1::2]], -1)
    joined = both.gather(-1, sources.expand(both.shape))
    return joined.masked_fill((positions >= total).view(sources.shape), 0), total.squeeze(1)
