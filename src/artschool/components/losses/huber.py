"""Distances that are squared near zero and absolute elsewhere, which limits the effect of outliers."""

import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.shapes import pair
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Positive


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def huber(fake: Tensor, real: Tensor, *, delta: Positive = 1.0) -> Tensor:
    """Mean of `d^2 / 2` where `|d| < delta`, and of `delta (|d| - delta / 2)` elsewhere.

    Args:
        fake: Any shape.
        real: The same shape.
        delta: Difference at which the loss changes from quadratic to linear, in units of the values.

    Raises:
        ConfigError: The shapes differ.

    Source: Huber 1964, Robust estimation of a location parameter, Annals of Mathematical Statistics 35(1).
    """
    return F.huber_loss(*pair("huber", fake, real), delta=delta)


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def smooth_l1(fake: Tensor, real: Tensor, *, beta: Positive = 1.0) -> Tensor:
    """Huber's distance divided by beta: its slope for large differences is 1, as for l1.

    Args:
        fake: Any shape.
        real: The same shape.
        beta: Difference at which the loss changes from quadratic to linear, in units of the values.

    Raises:
        ConfigError: The shapes differ.

    Source: Girshick 2015, arXiv:1504.08083, eq. 3.
    """
    return F.smooth_l1_loss(*pair("smooth_l1", fake, real), beta=beta)
