"""A value whose entries have moved on, such as a batch in another order."""

from torch import Tensor

from artschool.registry import injectors


@injectors.register
def roll(x: Tensor, *, shift: int = 1, dim: int = 0) -> Tensor:
    """Move every entry along a dimension; what leaves at the end comes back at the front.

    Along the batch this gives each sample another one of the same batch, such as a pair that does not belong together.

    Args:
        x: Any shape.
        shift: By how many places.
        dim: Along which dimension; 0 is the batch.

    Returns:
        The same shape.
    """
    return x.roll(shift, dim)
