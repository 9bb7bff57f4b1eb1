"""A value that some network or injector computed, used as a loss."""

from torch import Tensor

from artschool.components.losses.precision import at_least_float32
from artschool.registry import losses
from artschool.registry.signature import Context, Natural


@losses.register
def mean(x: Tensor, *, maximize: bool = False, ramp_iterations: Natural = 0, context: Context) -> Tensor:
    """Mean of a value.

    Args:
        x: Any shape.
        maximize: Whether training makes it larger rather than smaller.
        ramp_iterations: It grows linearly from nothing at iteration 0 to its full value at this iteration;
            0 starts with the full value.
        context: Tells the iteration.
    """
    share = min(context.iteration / ramp_iterations, 1.0) if ramp_iterations else 1.0
    return at_least_float32(x).mean() * (-share if maximize else share)
