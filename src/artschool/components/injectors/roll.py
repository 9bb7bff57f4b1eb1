"""A value with shifted entries, such as a batch in another order."""

from torch import Tensor

from artschool.registry import injectors
from artschool.registry.ranges import same_as


@injectors.register(values=same_as("x"))
def roll(x: Tensor, *, shift: int = 1, dim: int = 0) -> Tensor:
    """Shift the entries along a dimension. Entries that leave at the end enter at the front.

    Along the batch, this pairs each sample with another sample of the batch, such as for a negative pair.

    Args:
        x: Any shape.
        shift: Number of positions to shift by. Negative numbers shift towards the front.
        dim: Dimension to shift along. 0: the batch.

    Returns:
        The same shape.
    """
    return x.roll(shift, dim)
