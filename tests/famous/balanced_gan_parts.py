"""How well a critic tells points apart, and its loss from logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from artschool import injectors, losses


@injectors.register
def share_right(real: Tensor, fake: Tensor) -> Tensor:
    """The share of logits with the right sign, a scalar."""
    return torch.cat([real > 0, fake < 0]).float().mean()


@losses.register(mean_over="samples")
def logistic(logits: Tensor, *, label: float) -> Tensor:
    """Binary cross entropy of logits (B, 1) with one label."""
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
