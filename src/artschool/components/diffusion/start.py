"""Starting noise of sampling."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from artschool.components.precision import at_least_float32

Noise = Literal["random", "fixed", "zero"]


def starting_noise(
    like: Tensor, *, channels: int | None = None, scale_factor: int = 1, multiple: int = 1, noise: Noise = "random"
) -> Tensor:
    """Return standard normal noise in the shape of the samples, float32 or better.

    Args:
        like: (B, C, ...), gives the shape; its values are not read.
        channels: Number of channels; None: those of `like`.
        scale_factor: Factor of every size after the channels.
        multiple: Divisor of the sizes after the channels, which are then rounded up to a multiple of it.
        noise: `random`; `fixed`, the same at every call; or `zero`.
    """
    sizes = (math.ceil(size * scale_factor / multiple) * multiple for size in like.shape[2:])
    shape = (like.shape[0], like.shape[1] if channels is None else channels, *sizes)
    empty = at_least_float32(like).new_empty(shape)
    if noise == "random":
        return torch.randn_like(empty)
    if noise == "zero":
        return torch.zeros_like(empty)
    # Drawn on the CPU, so that the noise is the same on every device.
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(empty)
