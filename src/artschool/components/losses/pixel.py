"""Mean elementwise distance of two tensors."""

import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.shapes import pair
from artschool.registry import ComponentRole, losses


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def l1(fake: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference, computed in float32 or better.

    Args:
        fake: Any shape.
        real: The same shape.

    Raises:
        ConfigError: The shapes differ.
    """
    return mean_distance(*pair("l1", fake, real))


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def l2(fake: Tensor, real: Tensor) -> Tensor:
    """Mean squared difference, computed in float32 or better.

    Args:
        fake: Any shape.
        real: The same shape.

    Raises:
        ConfigError: The shapes differ.
    """
    return F.mse_loss(*pair("l2", fake, real))


def mean_distance(fake: Tensor, real: Tensor) -> Tensor:
    """The mean absolute difference of tensors of one shape, to the bit that of `F.l1_loss`, which broadcasts first."""
    return (fake - real).abs().mean()
