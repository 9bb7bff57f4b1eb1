"""A penalty on rough images."""

from torch import Tensor

from artschool.components.precision import at_least_float32
from artschool.registry import ComponentRole, losses


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def total_variation(x: Tensor) -> Tensor:
    """Sum of absolute differences of vertical and horizontal neighbours, divided by the number of values.

    Args:
        x: (..., H, W).

    Source: Rudin, Osher and Fatemi 1992, Nonlinear total variation based noise removal algorithms, Physica D 60; the
    anisotropic form.
    """
    x = at_least_float32(x)
    return (x.diff(dim=-1).abs().sum() + x.diff(dim=-2).abs().sum()) / x.numel()
