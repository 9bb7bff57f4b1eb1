"""Parts of a value along one dimension."""

from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import injectors


@injectors.register
def select(x: Tensor, *, index: int | list[int] | None = None, dim: int = 1) -> Tensor | list[Tensor]:
    """Take slices along a dimension, each without it.

    Args:
        x: Any shape.
        index: Which slice, or several; negative counts from the end. Without it, all of them.
        dim: The dimension that is cut.

    Returns:
        One tensor for a single index; else one for each, for a list of names in `out`. Views, nothing is copied.

    Raises:
        ConfigError: There is no such index.
    """
    size = x.shape[dim]
    wanted = range(size) if index is None else [index] if isinstance(index, int) else index
    for one in wanted:
        if not -size <= one < size:
            raise ConfigError(f"select takes index {one} of dimension {dim}, but its size is {size}")
    slices = [x.select(dim, one) for one in wanted]
    return slices[0] if isinstance(index, int) else slices


@injectors.register("slice")
def slice_along(x: Tensor, *, start: int = 0, stop: int | None = None, dim: int = 1) -> Tensor:
    """Take the places `start` to `stop - 1` along a dimension, such as some of the channels.

    Args:
        x: Any shape.
        start: The first place; negative counts from the end.
        stop: The place after the last; negative counts from the end. Without it, up to the end.
        dim: The dimension that is cut.

    Returns:
        The same shape but at `dim`; a view, nothing is copied.

    Raises:
        ConfigError: Nothing is left.
    """
    size = x.shape[dim]
    start, stop, _ = slice(start, stop).indices(size)
    if start >= stop:
        raise ConfigError(f"slice leaves nothing of dimension {dim}, whose size is {size}: from {start} to {stop}")
    return x.narrow(dim, start, stop - start)
