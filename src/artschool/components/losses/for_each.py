"""A loss over a dimension such as time, or at one position of it."""

import torch
from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Loss


@losses.register(roles=ComponentRole.MINIMIZED, mean_over=lambda loss, dim: "batch" if dim == 0 else loss)
def for_each(
    loss: Loss, fake: Tensor, real: Tensor, *, dim: int = 1, element_weights: list[float] | None = None
) -> Tensor:
    """Sum of another loss over the slices of a dimension.

    Args:
        loss: Loss of two keys, which receives a slice of fake and of real. A slice does not have `dim`.
        fake: (B, T, ...).
        real: (B, T, ...), with the same number of slices.
        dim: Dimension to slice.
        element_weights: Factors of the slices, one for each. null: 1 for all.

    Raises:
        ConfigError: The numbers of slices of fake and real and of weights differ.
    """
    slices = list(zip(fake.unbind(dim), real.unbind(dim), strict=False))
    weights = element_weights or [1.0] * len(slices)
    if not len(weights) == fake.shape[dim] == real.shape[dim]:
        raise ConfigError(
            f"for_each: the numbers of slices along dimension {dim} and of weights must be equal, got "
            f"{fake.shape[dim]} of fake, {real.shape[dim]} of real and {len(weights)} weights"
        )
    values = [
        loss(fake_slice, real_slice) * weight for (fake_slice, real_slice), weight in zip(slices, weights, strict=True)
    ]
    return torch.stack(values).sum()


@losses.register(roles=ComponentRole.MINIMIZED, mean_over=lambda loss, dim: "batch" if dim == 0 else loss)
def for_element(loss: Loss, fake: Tensor, real: Tensor, *, index: int, dim: int = 1) -> Tensor:
    """Another loss at one position of a dimension.

    Args:
        loss: Loss of two keys, which receives a slice of fake and of real. A slice does not have `dim`.
        fake: (B, T, ...).
        real: (B, T, ...).
        index: Position of the slices, from 0. Negative numbers count from the end.
        dim: Dimension to slice.

    Raises:
        ConfigError: `index` is out of range.
    """
    for name, values in (("fake", fake), ("real", real)):
        size = values.shape[dim]
        if not -size <= index < size:
            raise ConfigError(f"for_element: index {index} is out of range for dimension {dim} of {name}, size {size}")
    return loss(fake.select(dim, index), real.select(dim, index))
