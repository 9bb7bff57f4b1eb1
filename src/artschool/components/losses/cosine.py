"""Angle between vectors."""

import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import losses


@losses.register
def cosine(fake: Tensor, real: Tensor, *, dim: int = 1) -> Tensor:
    """Mean of 1 - cosine similarity: 0 for vectors of one direction, 2 for opposite ones; lengths do not matter.

    Args:
        fake: (B, C) or (B, C, ...).
        real: The same shape.
        dim: Along which a vector lies.

    Raises:
        ConfigError: The shapes differ.
    """
    if fake.shape != real.shape:
        raise ConfigError(
            f"cosine compares equal shapes, but fake is {tuple(fake.shape)} and real is {tuple(real.shape)}"
        )
    return 1 - F.cosine_similarity(at_least_float32(fake), at_least_float32(real), dim=dim).mean()
