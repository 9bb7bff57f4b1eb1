"""A value shifted and scaled, and back."""

from torch import Tensor

from artschool.registry import injectors
from artschool.registry.ranges import OUT, Known, Range, Ranges
from artschool.registry.signature import NotZero


def _normalized(known: Known) -> Ranges:
    x, shift, scale = known.keys.get("x"), known.options["shift"], known.options["scale"]
    return {OUT: _range((x[0] - shift) / scale, (x[1] - shift) / scale) if x else None}


@injectors.register(values=_normalized)
def normalize(x: Tensor, *, shift: float = 0.0, scale: NotZero = 1.0) -> Tensor:
    """Subtract a shift, then divide by a scale: `(x - shift) / scale`.

    Args:
        x: Any shape.
        shift: Value that becomes 0, in units of x.
        scale: Divisor, in units of x, other than 0: `shift + scale` becomes 1. Below 0, values are in reversed order.
    """
    return (x - shift) / scale


def _denormalized(known: Known) -> Ranges:
    x, shift, scale = known.keys.get("x"), known.options["shift"], known.options["scale"]
    return {OUT: _range(x[0] * scale + shift, x[1] * scale + shift) if x else None}


@injectors.register(values=_denormalized)
def denormalize(x: Tensor, *, shift: float = 0.0, scale: NotZero = 1.0) -> Tensor:
    """Undo `normalize` with the same options: `x * scale + shift`.

    Args:
        x: Any shape.
        shift: Value that 0 becomes, in units of the result.
        scale: Factor, in units of the result, other than 0: 1 becomes `shift + scale`.
    """
    return x * scale + shift


def _range(one: float, other: float) -> Range:
    """The range between two ends; a negative scale swaps them."""
    return min(one, other), max(one, other)
