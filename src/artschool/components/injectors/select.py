"""Parts of a value along one dimension."""

from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.ranges import same_as


@injectors.register(values=same_as("x"))
def select(x: Tensor, *, index: int | list[int] | None = None, dim: int = 1) -> Tensor | list[Tensor]:
    """Take single slices along a dimension, and remove the dimension.

    Args:
        x: Any shape.
        index: Index of a slice, or a list of indices. Negative numbers count from the end. null: all slices.
        dim: Dimension to slice.

    Returns:
        One tensor for a single index, otherwise one tensor for each name in `out`. They are views, without a copy.

    Raises:
        ConfigError: An index is out of range.
    """
    size = x.shape[dim]
    wanted = range(size) if index is None else [index] if isinstance(index, int) else index
    for position in wanted:
        if not -size <= position < size:
            raise ConfigError(f"select: index {position} is out of range for dimension {dim} of size {size}")
    slices = [x.select(dim, position) for position in wanted]
    return slices[0] if isinstance(index, int) else slices


@injectors.register("slice", values=same_as("x"))
def slice_along(x: Tensor, *, start: int = 0, stop: int | None = None, dim: int = 1) -> Tensor:
    """Take the positions `start` to `stop - 1` along a dimension, such as some of the channels.

    Args:
        x: Any shape.
        start: First position to take. Negative numbers count from the end.
        stop: Position after the last one to take. Negative numbers count from the end. null: up to the end.
        dim: Dimension to slice.

    Returns:
        The same shape except at `dim`. It is a view, without a copy.

    Raises:
        ConfigError: The slice is empty.
    """
    size = x.shape[dim]
    start, stop, _ = slice(start, stop).indices(size)
    if start >= stop:
        raise ConfigError(f"slice: positions {start} to {stop} of dimension {dim} of size {size} are empty")
    return x.narrow(dim, start, stop - start)
