"""A value shifted and scaled, and back."""

from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import Positive


@injectors.register
def normalize(x: Tensor, *, shift: float = 0.0, scale: Positive = 1.0) -> Tensor:
    """Subtract a shift, then divide by a scale: `(x - shift) / scale`.

    Args:
        x: Any shape.
        shift: Value that becomes 0, in units of x.
        scale: Divisor, in units of x: `shift + scale` becomes 1.
    """
    return (x - shift) / scale


@injectors.register
def denormalize(x: Tensor, *, shift: float = 0.0, scale: Positive = 1.0) -> Tensor:
    """Undo `normalize` with the same options: `x * scale + shift`.

    Args:
        x: Any shape.
        shift: Value that 0 becomes, in units of the result.
        scale: Factor, in units of the result: 1 becomes `shift + scale`.
    """
    return x * scale + shift
