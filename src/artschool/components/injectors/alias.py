"""A second name for a value."""

from torch import Tensor

from artschool.registry import injectors


@injectors.register
def alias(x: Tensor) -> Tensor:
    """Give a value a second name.

    Args:
        x: Any shape.

    Returns:
        The same tensor, without a copy.
    """
    return x
