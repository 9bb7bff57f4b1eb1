"""A dimension folded into the batch, such as the frames of a video for a network of single images, and unfolded."""

import math
from typing import Annotated

from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.ranges import same_as
from artschool.registry.signature import Count, Marker, Role

Integers = Annotated[list[int], Marker(Role.KEY)]
"""The key of a list of integers that `fold_dimension` wrote."""


@injectors.register(values=same_as("x"))
def fold_dimension(x: Tensor, *, dim: int = 1, limit: Count | None = None) -> tuple[Tensor, list[int], list[int]]:
    """Fold a dimension into the batch.

    Args:
        x: (B, ...), with N entries at `dim`.
        dim: Dimension to fold, other than the batch dimension 0. Negative numbers count from the end.
        limit: Maximum size of the new batch; further entries are dropped, and the result cannot be unfolded. null: no
            limit.

    Returns:
        Three values. The folded tensor (N * B, ...), with the first entry of every sample first. For
        `unfold_dimension`, the shape with N in front, and the order of dimensions that moves N back. Write `_` in
        `out` for values that are not needed.

    Raises:
        ConfigError: `dim` is the batch dimension.
    """
    position = dim % x.dim()
    if position == 0:
        raise ConfigError("fold_dimension: dim must not be 0, the batch dimension")
    moved = x.movedim(position, 0)
    order = [*range(1, position + 1), 0, *range(position + 1, x.dim())]
    return moved.flatten(0, 1)[:limit], list(moved.shape), order


@injectors.register(values=same_as("x"))
def unfold_dimension(x: Tensor, shape: Integers, order: Integers) -> Tensor:
    """Undo `fold_dimension`. The dimensions other than the batch may have changed since.

    Args:
        x: (N * B, ...).
        shape: Key of the second result of `fold_dimension`.
        order: Key of the third result of `fold_dimension`.

    Returns:
        (B, ...) with N at its original dimension.

    Raises:
        ConfigError: x has another batch size than the folded tensor, or too few dimensions.
    """
    position = order.index(0)
    if len(x) != math.prod(shape[:2]) or position > x.dim():
        raise ConfigError(
            f"unfold_dimension: expected a batch size of {shape[0]} x {shape[1]} and at least {position} dimensions, "
            f"got a tensor of shape {tuple(x.shape)}"
        )
    return x.reshape(*shape[:2], *x.shape[1:]).movedim(0, position)
