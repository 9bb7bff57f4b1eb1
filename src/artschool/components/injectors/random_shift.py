"""Images and sequences that have moved."""

from typing import Literal

import torch
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import Count


@injectors.register
def random_shift(x: Tensor, *, max_shift: Count, fill: Literal["wrap", "zero"] = "wrap") -> Tensor:
    """Move each sample by a random number of places along every dimension after the second.

    Args:
        x: (B, C, ...), such as sequences (B, C, T) or images (B, C, H, W).
        max_shift: The farthest move, in either direction.
        fill: What enters at one end: what leaves at the other (wrap), or zeros.

    Returns:
        The same shape.
    """
    for dim in range(2, x.dim()):
        size, shape = x.shape[dim], [1] * x.dim()
        shape[0], shape[dim] = len(x), size
        shift = torch.randint(-max_shift, max_shift + 1, (len(x), 1), device=x.device)
        source = (torch.arange(size, device=x.device) - shift).view(shape)
        moved = x.gather(dim, (source % size).expand_as(x))
        x = moved if fill == "wrap" else moved.masked_fill((source < 0) | (source >= size), 0)
    return x
