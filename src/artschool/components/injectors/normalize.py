"""Another origin and unit for a value, and back."""

from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import Positive


@injectors.register
def normalize(x: Tensor, *, shift: float = 0.0, scale: Positive = 1.0) -> Tensor:
    """Subtract a shift, then divide by a scale: `(x - shift) / scale`.

    Args:
        x: Any shape.
        shift: What becomes 0, in units of x.
        scale: What becomes 1 above the shift, in units of x.
    """
    return (x - shift) / scale


@injectors.register
def denormalize(x: Tensor, *, shift: float = 0.0, scale: Positive = 1.0) -> Tensor:
    """Undo `normalize` with the same options: `x * scale + shift`.

    Args:
        x: Any shape.
        shift: Where 0 goes.
        scale: How far from the shift 1 goes.
    """
    return x * scale + shift
