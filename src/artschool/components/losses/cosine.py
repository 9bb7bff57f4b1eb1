"""Distance by the angle between vectors."""

import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.shapes import pair
from artschool.registry import ComponentRole, losses


@losses.register(roles=ComponentRole.MINIMIZED, mean_over=lambda dim: "batch" if dim == 0 else "samples")
def cosine(fake: Tensor, real: Tensor, *, dim: int = 1) -> Tensor:
    """Mean of 1 - cosine similarity: 0 for vectors of equal direction, 2 for opposite ones. Lengths are ignored.

    Args:
        fake: (B, C) or (B, C, ...).
        real: The same shape.
        dim: Dimension of the vectors' components.

    Raises:
        ConfigError: The shapes differ.
    """
    return 1 - F.cosine_similarity(*pair("cosine", fake, real), dim=dim).mean()
