"""A value that is the same everywhere and always."""

import torch
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.context import Context


@injectors.register
def constant(like: Tensor | None = None, *, value: float = 0.0, context: Context) -> Tensor:
    """A tensor filled with one value.

    Args:
        like: What it has the shape and type of; without it the result is a scalar.
        value: The value.
        context: Gives the device of a scalar.

    Returns:
        The shape and type of `like`, or a scalar.
    """
    if like is None:
        return torch.full((), value, device=context.device)
    return torch.full_like(like, value)
