"""A value of a network or injector as a loss."""

from torch import Tensor

from artschool.components.precision import at_least_float32
from artschool.registry import losses
from artschool.registry.signature import Context
from artschool.registry.units import Iterations


@losses.register(mean_over="samples")
def mean(x: Tensor, *, maximize: bool = False, ramp_iterations: Iterations = 0, context: Context) -> Tensor:
    """Mean of a value.

    Args:
        x: Any shape.
        maximize: Whether training maximizes the value instead of minimizing it.
        ramp_iterations: Number of iterations of a linear ramp: the factor of the loss grows from 0 at iteration 0 to 1
            at this iteration. 0: no ramp.
        context: Gives the iteration.
    """
    factor = min(context.iteration / ramp_iterations, 1.0) if ramp_iterations else 1.0
    return at_least_float32(x).mean() * (-factor if maximize else factor)
