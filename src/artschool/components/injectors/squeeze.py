"""A value without a dimension of size one."""

from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.ranges import same_as


@injectors.register(values=same_as("x"))
def squeeze(x: Tensor, *, dim: int) -> Tensor:
    """Remove a dimension of size one.

    Args:
        x: Any shape with size 1 at `dim`.
        dim: Dimension to remove. Negative numbers count from the end.

    Returns:
        A tensor with one dimension less. It is a view, without a copy.

    Raises:
        ConfigError: The dimension has another size.
    """
    if x.shape[dim] != 1:
        raise ConfigError(f"squeeze: dimension {dim} must have size 1, got a tensor of shape {tuple(x.shape)}")
    return x.squeeze(dim)
