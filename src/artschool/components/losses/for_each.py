"""A loss over, or at one place of, a dimension such as time."""

import torch
from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Loss


@losses.register(roles=ComponentRole.MINIMIZED)
def for_each(
    loss: Loss, fake: Tensor, real: Tensor, *, dim: int = 1, element_weights: list[float] | None = None
) -> Tensor:
    """Sum of another loss over the slices of a dimension, which the slices no longer have.

    Args:
        loss: Any loss of two keys, which are called by position.
        fake: (B, T, ...).
        real: (B, T, ...), as many slices.
        dim: The dimension to slice.
        element_weights: A factor for each slice, as many as there are.

    Raises:
        ConfigError: fake, real and the weights differ in their number.
    """
    slices = list(zip(fake.unbind(dim), real.unbind(dim), strict=False))
    weights = element_weights or [1.0] * len(slices)
    if not len(weights) == fake.shape[dim] == real.shape[dim]:
        raise ConfigError(
            f"for_each pairs slices of dimension {dim}, but fake has {fake.shape[dim]}, real has {real.shape[dim]}, "
            f"and there are {len(weights)} weights"
        )
    values = [loss(one, other) * weight for (one, other), weight in zip(slices, weights, strict=True)]
    return torch.stack(values).sum()


@losses.register(roles=ComponentRole.MINIMIZED)
def for_element(loss: Loss, fake: Tensor, real: Tensor, *, index: int, dim: int = 1) -> Tensor:
    """Another loss at one place of a dimension.

    Args:
        loss: Any loss of two keys, which are called by position.
        fake: (B, T, ...).
        real: (B, T, ...).
        index: The place, from 0; negative numbers count from the end.
        dim: The dimension, which the slices no longer have.

    Raises:
        ConfigError: There is no such place.
    """
    for name, values in (("fake", fake), ("real", real)):
        size = values.shape[dim]
        if not -size <= index < size:
            raise ConfigError(f"{name} has no place {index} in dimension {dim}, whose size is {size}")
    return loss(fake.select(dim, index), real.select(dim, index))
