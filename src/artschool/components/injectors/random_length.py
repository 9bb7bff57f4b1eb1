"""Sequences of a random length."""

import torch
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import Count


@injectors.register
def random_length(x: Tensor, *, min_length: Count) -> Tensor:
    """Crop the last dimension to a random length, at the same random position for the whole batch.

    Args:
        x: (..., T).
        min_length: Minimum length of the crop. Shorter sequences stay whole.

    Returns:
        (..., T') with min_length <= T' <= T. All lengths are equally likely, and so are all positions.
    """
    longest = x.shape[-1]
    if longest <= min_length:
        return x
    # Drawn on the host, where the shape must be known.
    length = int(torch.randint(min_length, longest + 1, ()))
    return x.narrow(-1, int(torch.randint(longest - length + 1, ())), length)
