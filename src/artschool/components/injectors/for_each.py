"""Another injector, on one slice after the other."""

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
        injector: Takes one slice, without `dim`.
        dim: What a tensor is cut along, and what the results are stacked along.
        as_list: Keep the results apart, for slices whose results differ in shape.

    Returns:
        What the injector returns, stacked along `dim` or in a list; one of these for each of its results where it
        returns several.
    """
    slices = x.unbind(dim) if isinstance(x, Tensor) else x
    results = [injector(part) for part in slices]
    if results and isinstance(results[0], tuple):
        return tuple(_joined(list(same), dim, as_list) for same in zip(*results, strict=True))
    return _joined(results, dim, as_list)


def _joined(results: list[Any], dim: int, as_list: bool) -> Any:
    return results if as_list else torch.stack(results, dim)
