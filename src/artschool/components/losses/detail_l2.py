"""Squared error with larger weights at fine detail."""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from artschool.components.losses.shapes import pair
from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Context, NotNegative


def _sum_of_weights(real: Tensor, scale: int, base: float, power: float) -> Tensor:
    return _weights(at_least_float32(real), scale, base, power).sum()


@losses.register(roles=ComponentRole.MINIMIZED, count=_sum_of_weights)
def detail_l2(
    fake: Tensor,
    real: Tensor,
    *,
    scale: Annotated[int, Field(ge=2)],
    base: NotNegative = 0.2,
    power: NotNegative = 2.0,
    context: Context,
) -> Tensor:
    """Mean of squared differences, weighted by `(|real - coarse| + base)^power` over the mean of that.

    `coarse` is real without its fine detail: the means over blocks of scale x scale pixels. The weights are 1 on
    average and get no gradients. Logs `l2_loss`, the mean without weights.

    Args:
        fake: (B, C, H, W), H and W multiples of scale.
        real: The same shape.
        scale: Side of a block in pixels, usually the factor of the super-resolution.
        base: Number to add to the detail before the power, in units of real. It gives weight to flat areas.
        power: Exponent of the weights. Larger values emphasize detail; 0: equal weights.
        context: Records the logged values.

    Raises:
        ConfigError: The shapes differ, or height or width is not a multiple of scale.
    """
    fake, real = pair("detail_l2", fake, real)
    if real.shape[-2] % scale or real.shape[-1] % scale:
        raise ConfigError(
            f"detail_l2: height and width must be multiples of the scale {scale}, got {tuple(real.shape[-2:])}"
        )
    squares = (fake - real).square()
    context.log("l2_loss", squares.detach().mean())
    weights = _weights(real.detach(), scale, base, power)
    # Flat images with a base of 0 have only weights of 0.
    return (squares * (weights / weights.mean().clamp(min=torch.finfo(weights.dtype).tiny))).mean()


def _weights(real: Tensor, scale: int, base: float, power: float) -> Tensor:
    coarse = F.interpolate(F.avg_pool2d(real, scale), scale_factor=scale, mode="nearest")
    return ((real - coarse).abs() + base) ** power
