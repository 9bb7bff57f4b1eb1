"""An injector applied to one slice after the other."""

from typing import Any

import torch
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import Injector


@injectors.register
def for_each(x: Tensor, *, injector: Injector, dim: int = 1, as_list: bool = False) -> Any:
    """Apply an injector to each slice of a tensor, or to each item of a list.

    Args:
        x: Any shape, such as frames (B, T, C, H, W); or a list, whose items are taken as they are.
        injector: Injector to apply to each slice. A slice does not have `dim`.
        dim: Dimension along which a tensor is sliced and the results are stacked.
        as_list: Whether to return a list of results instead of stacking them, for results of different shapes.

    Returns:
        The results stacked along `dim`, or as a list. For an injector that returns several values, one stack or list
        for each of them.
    """
    slices = x.unbind(dim) if isinstance(x, Tensor) else x
    results = [injector(part) for part in slices]
    if results and isinstance(results[0], tuple):
        return tuple(_joined(list(same), dim, as_list) for same in zip(*results, strict=True))
    return _joined(results, dim, as_list)


def _joined(results: list[Any], dim: int, as_list: bool) -> Any:
    return results if as_list else torch.stack(results, dim)
