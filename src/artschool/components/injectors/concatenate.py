"""Several values joined into one."""

import torch
from torch import Tensor

from artschool.registry import injectors


@injectors.register
def concatenate(inputs: list[Tensor], *, dim: int = 1) -> Tensor:
    """Join tensors along a dimension.

    Args:
        inputs: Equal shapes except along `dim`.
        dim: The dimension to join along; 1 is the channels of images.

    Returns:
        Their sizes along `dim` added up, in the order given.
    """
    return torch.cat(inputs, dim=dim)
