"""A value without a dimension of size one."""

from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import injectors


@injectors.register
def squeeze(x: Tensor, *, dim: int) -> Tensor:
    """Remove a dimension of size one.

    Args:
        x: Any shape with size 1 at `dim`.
        dim: The dimension to remove; negative counts from the end.

    Returns:
        One dimension less; a view, nothing is copied.

    Raises:
        ConfigError: The dimension has another size.
    """
    if x.shape[dim] != 1:
        raise ConfigError(f"squeeze removes dimension {dim} of size 1, but the input is {tuple(x.shape)}")
    return x.squeeze(dim)
