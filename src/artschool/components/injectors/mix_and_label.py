"""Samples from several sources in one batch."""

import torch
from torch import Tensor

from artschool.registry import injectors


@injectors.register
def mix_and_label(inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Take each sample of a batch from one of several inputs at random, and tell from which.

    Args:
        inputs: N of (B, ...), of one shape.

    Returns:
        The mixed batch (B, ...), and for each of its samples the place in `inputs` it is from, (B,) in 0..N-1.
    """
    first = inputs[0]
    labels = torch.randint(len(inputs), (len(first),), device=first.device)
    return torch.stack(inputs)[labels, torch.arange(len(first), device=first.device)], labels
