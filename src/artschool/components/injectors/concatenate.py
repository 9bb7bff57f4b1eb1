"""Several values joined into one."""

import torch
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.ranges import same_as


@injectors.register(values=same_as("inputs"))
def concatenate(inputs: list[Tensor], *, dim: int = 1) -> Tensor:
    """Join tensors along a dimension.

    Args:
        inputs: Tensors of equal shape, except along `dim`.
        dim: Dimension to join along. 1: the channels of images.

    Returns:
        One tensor whose size along `dim` is the sum of the sizes, in the order of `inputs`.
    """
    return torch.cat(inputs, dim=dim)
