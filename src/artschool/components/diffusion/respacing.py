"""Fewer timesteps in sampling than in training."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, repeat

import torch
from torch import Tensor

from artschool.errors import ConfigError

DDIM = "ddim"


def space_timesteps(num_timesteps: int, spacing: int | str | Sequence[int]) -> list[int]:
    """Choose timesteps from `range(num_timesteps)`, in increasing order.

    Args:
        num_timesteps: Number of timesteps to choose from.
        spacing: A list divides the range into as many equal sections, and takes its numbers of timesteps from them,
            both ends of a section included: `[10, 5]` takes 10 from the first half and 5 from the second. A number is
            one section. `ddim10` takes 10 at a whole-number stride from 0, as the DDIM paper does.

    Raises:
        ConfigError: There are not enough timesteps.

    Source: Nichol and Dhariwal 2021, arXiv:2102.09672, section 4; Song et al. 2021, arXiv:2010.02502, appendix D.2.
    """
    if isinstance(spacing, str):
        return _at_whole_stride(num_timesteps, spacing)
    counts = [spacing] if isinstance(spacing, int) else [*spacing]
    length, longer = divmod(num_timesteps, len(counts))
    chosen, start = [], 0
    for index, count in enumerate(counts):
        size = length + (index < longer)
        if not 1 <= count <= size:
            raise ConfigError(f"steps: expected 1 to {size} timesteps in a section of {size}, got {count}")
        chosen += [start + offset for offset in _evenly(size, count)]
        start += size
    return chosen


def _evenly(size: int, count: int) -> list[int]:
    """`count` offsets in `range(size)`, both ends included."""
    stride = (size - 1) / (count - 1) if count > 1 else 1.0
    # A running sum, as in the code of the paper: products round differently where an offset ends in about .5.
    return [round(offset) for offset in accumulate(repeat(stride, count - 1), initial=0.0)]


def _at_whole_stride(num_timesteps: int, spacing: str) -> list[int]:
    number = spacing.removeprefix(DDIM)
    if number == spacing or not number.isdecimal():
        raise ConfigError(f"steps: expected a number, a list of numbers, or text like {DDIM}10, got {spacing!r}")
    for stride in range(1, num_timesteps + 1):
        if len(range(0, num_timesteps, stride)) == int(number):
            return [*range(0, num_timesteps, stride)]
    raise ConfigError(
        f"steps: no whole-number stride takes exactly {number} of {num_timesteps} timesteps. Fix: write {number} "
        f"instead of {spacing}"
    )


def respaced_betas(betas: Tensor, timesteps: Sequence[int]) -> Tensor:
    """Return the variances between the chosen timesteps: `1 - alpha_bar[t] / alpha_bar[t before]`.

    Args:
        betas: (T,), of all timesteps.
        timesteps: Chosen timesteps, in increasing order.

    Source: Nichol and Dhariwal 2021, arXiv:2102.09672, eq. 19.
    """
    alpha_bar = (1 - betas).cumprod(0)[list(timesteps)]
    return 1 - alpha_bar / torch.cat([torch.ones_like(alpha_bar[:1]), alpha_bar[:-1]])
