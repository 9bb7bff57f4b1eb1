"""Sequences of a random length."""

import torch
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import Count


@injectors.register
def random_length(x: Tensor, *, min_length: Count) -> Tensor:
    """Cut a part of random length from the last dimension, the same for the whole batch.

    Args:
        x: (..., T).
        min_length: The shortest part; what is no longer than that stays whole.

    Returns:
        (..., T') with min_length <= T' <= T, each length and each place as likely as the next.
    """
    longest = x.shape[-1]
    if longest <= min_length:
        return x
    # Drawn on the host, for a shape has to be known there.
    length = int(torch.randint(min_length, longest + 1, ()))
    return x.narrow(-1, int(torch.randint(longest - length + 1, ())), length)
