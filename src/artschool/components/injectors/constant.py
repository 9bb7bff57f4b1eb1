"""A tensor with one value everywhere."""

import torch
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import Context, ShapeOf


@injectors.register
def constant(like: ShapeOf | None = None, *, value: float = 0.0, context: Context) -> Tensor:
    """Make a tensor filled with one value.

    Args:
        like: Tensor that gives shape, data type and device of the result. null: the result is a scalar.
        value: Value of every element.
        context: Gives the device of a scalar.

    Returns:
        A tensor with the shape and data type of `like`, or a scalar.
    """
    if like is None:
        return torch.full((), value, device=context.device)
    return torch.full_like(like, value)
