"""Mean distance of two tensors, value by value."""

import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses


@losses.register(roles=ComponentRole.MINIMIZED)
def l1(fake: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference, computed in float32 or better.

    Args:
        fake: Any shape.
        real: The same shape.

    Raises:
        ConfigError: The shapes differ.
    """
    return F.l1_loss(*pair("l1", fake, real))


@losses.register(roles=ComponentRole.MINIMIZED)
def l2(fake: Tensor, real: Tensor) -> Tensor:
    """Mean squared difference, computed in float32 or better.

    Args:
        fake: Any shape.
        real: The same shape.

    Raises:
        ConfigError: The shapes differ.
    """
    return F.mse_loss(*pair("l2", fake, real))


def pair(loss: str, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float32 or better; those of different shapes are refused under the loss's name."""
    # Broadcasting (B, 1) against (B,) compares every sample with every other, and the loss still goes down.
    if fake.shape != real.shape:
        raise ConfigError(
            f"{loss} compares equal shapes, but fake is {tuple(fake.shape)} and real is {tuple(real.shape)}"
        )
    return at_least_float32(fake), at_least_float32(real)
