"""A dimension that joins the batch, such as frames for a network of single images, and leaves it again."""

import math
from typing import Annotated

from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.signature import Count, Marker, Role

Integers = Annotated[list[int], Marker(Role.KEY)]
"""The key of a list of integers, which `fold_dimension` has written."""


@injectors.register
def fold_dimension(x: Tensor, *, dim: int = 1, limit: Count | None = None) -> tuple[Tensor, list[int], list[int]]:
    """Fold a dimension into the batch.

    Args:
        x: (B, ...), with N entries at `dim`.
        dim: The dimension to fold, not the batch itself; negative counts from the end.
        limit: Keep only so many entries of the new batch. It cannot be unfolded then.

    Returns:
        (N * B, ...), the first entry of every sample first; and what `unfold_dimension` needs: the shape with N in
        front, and the order of its dimensions that puts N back to its place. Write `_` in `out` for what is not needed.

    Raises:
        ConfigError: `dim` is the batch.
    """
    place = dim % x.dim()
    if place == 0:
        raise ConfigError("fold_dimension folds a dimension into the batch, so it cannot fold the batch, dimension 0")
    moved = x.movedim(place, 0)
    order = [*range(1, place + 1), 0, *range(place + 1, x.dim())]
    return moved.flatten(0, 1)[:limit], list(moved.shape), order


@injectors.register
def unfold_dimension(x: Tensor, shape: Integers, order: Integers) -> Tensor:
    """Undo `fold_dimension`, also after a network that has changed all but the batch, and in a later step.

    Args:
        x: (N * B, ...).
        shape: The key of the second result of `fold_dimension`.
        order: The key of the third result of `fold_dimension`.

    Returns:
        (B, ...) with N where it was.

    Raises:
        ConfigError: x has another batch size than what was folded, or too few dimensions.
    """
    place = order.index(0)
    if len(x) != math.prod(shape[:2]) or place > x.dim():
        raise ConfigError(
            f"unfold_dimension makes {shape[0]} x {shape[1]} of the batch and puts {shape[0]} at dimension {place}, "
            f"which {tuple(x.shape)} does not fit"
        )
    return x.reshape(*shape[:2], *x.shape[1:]).movedim(0, place)
