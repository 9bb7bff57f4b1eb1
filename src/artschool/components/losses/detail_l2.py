"""Squared error that counts more where there is detail."""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from artschool.components.losses.pixel import pair
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Context, NotNegative


@losses.register(roles=ComponentRole.MINIMIZED)
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

    `coarse` is real without what shrinking it by `scale` loses: the means over blocks of scale x scale pixels. The
    weights are 1 on average and get no gradients. Logs `l2_loss`, the mean without weights.

    Args:
        fake: (B, C, H, W), H and W multiples of scale.
        real: The same shape.
        scale: Size of a block in pixels; that of the super-resolution, as a rule.
        base: What flat areas count, in units of real.
        power: How much detail stands out; 0 weighs all alike.
        context: Takes what is logged.

    Raises:
        ConfigError: The shapes differ, or scale does not divide the size.
    """
    fake, real = pair("detail_l2", fake, real)
    if real.shape[-2] % scale or real.shape[-1] % scale:
        raise ConfigError(f"detail_l2 takes images of a multiple of {scale} pixels, not {tuple(real.shape[-2:])}")
    squares = (fake - real).square()
    context.log("l2_loss", squares.detach().mean())
    reference = real.detach()
    coarse = F.interpolate(F.avg_pool2d(reference, scale), scale_factor=scale, mode="nearest")
    weights = ((reference - coarse).abs() + base) ** power
    # Flat images and a base of 0 have no weights at all.
    return (squares * (weights / weights.mean().clamp(min=torch.finfo(weights.dtype).tiny))).mean()
