"""An absolute distance that is smooth at zero."""

from torch import Tensor

from artschool.components.losses.shapes import pair
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Positive


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def charbonnier(fake: Tensor, real: Tensor, *, epsilon: Positive = 1e-3) -> Tensor:
    """Mean of `sqrt((fake - real)^2 + epsilon^2)`.

    Args:
        fake: Any shape.
        real: The same shape.
        epsilon: Width of the smooth minimum, in units of the values. The loss is at least epsilon.

    Raises:
        ConfigError: The shapes differ.

    Source: Lai et al. 2017, arXiv:1704.03915, section 3.3.
    """
    fake, real = pair("charbonnier", fake, real)
    return ((fake - real).square() + epsilon**2).sqrt().mean()
