"""Mean elementwise distance of two tensors."""

import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.precision import at_least_float32
from artschool.errors import ConfigError
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
    return F.l1_loss(*pair("l1", fake, real))


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


def pair(loss: str, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Both tensors in float32 or better.

    Raises:
        ConfigError: The shapes differ. The message names the loss.
    """
    # Broadcasting (B, 1) against (B,) would compare every sample with every other, and the loss would still decrease.
    if fake.shape != real.shape:
        raise ConfigError(
            f"{loss} compares equal shapes, but fake is {tuple(fake.shape)} and real is {tuple(real.shape)}"
        )
    return at_least_float32(fake), at_least_float32(real)
