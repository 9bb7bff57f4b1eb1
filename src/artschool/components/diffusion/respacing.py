"""Fewer timesteps than a diffusion was trained with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from artschool.errors import ConfigError

DDIM = "ddim"


def space_timesteps(num_timesteps: int, spacing: int | str | Sequence[int]) -> list[int]:
    """Choose timesteps out of `range(num_timesteps)`, in rising order.

    Args:
        num_timesteps: How many there are.
        spacing: A list cuts the range into as many sections of equal length and takes so many of each, both ends
            of a section included: `[10, 5]` is 10 of the first half and 5 of the second. A number is one section.
            `ddim10` takes 10 at a whole stride from 0, as the DDIM paper does.

    Raises:
        ConfigError: There are not so many.

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
            raise ConfigError(f"cannot take {count} timesteps out of a section of {size}; take 1 to {size}")
        stride = (size - 1) / (count - 1) if count > 1 else 1.0
        chosen += [start + round(stride * number) for number in range(count)]
        start += size
    return chosen


def _at_whole_stride(num_timesteps: int, spacing: str) -> list[int]:
    number = spacing.removeprefix(DDIM)
    if number == spacing or not number.isdecimal():
        raise ConfigError(f"steps {spacing!r} mean nothing; write a number, a list of numbers, or such as {DDIM}10")
    for stride in range(1, num_timesteps + 1):
        if len(range(0, num_timesteps, stride)) == int(number):
            return [*range(0, num_timesteps, stride)]
    raise ConfigError(f"no whole stride through {num_timesteps} timesteps takes exactly {number}; write {number} alone")


def respaced_betas(betas: Tensor, timesteps: Sequence[int]) -> Tensor:
    """The variances between chosen timesteps: `1 - alpha_bar[t] / alpha_bar[t before]`.

    Args:
        betas: (T,), of all timesteps.
        timesteps: In rising order.

    Source: Nichol and Dhariwal 2021, arXiv:2102.09672, eq. 19.
    """
    alpha_bar = (1 - betas).cumprod(0)[list(timesteps)]
    return 1 - alpha_bar / torch.cat([torch.ones_like(alpha_bar[:1]), alpha_bar[:-1]])
