"""Samples of several inputs mixed in one batch."""

import torch
from torch import Tensor

from artschool.registry import injectors


@injectors.register
def mix_and_label(inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Take each sample of a batch from a random one of several inputs, and label it with the index of that input.

    Args:
        inputs: N tensors (B, ...) of equal shape.

    Returns:
        The mixed batch (B, ...), and for each of its samples the index of its input, (B,) in 0..N-1.
    """
    first = inputs[0]
    labels = torch.randint(len(inputs), (len(first),), device=first.device)
    return torch.stack(inputs)[labels, torch.arange(len(first), device=first.device)], labels
