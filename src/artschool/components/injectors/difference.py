"""The difference of two images, and the sum that undoes it."""

import torch
from torch import Tensor

from artschool.registry import injectors


@injectors.register
def difference_channels(lq: Tensor, hq: Tensor, *, include_hq: bool = False) -> tuple[Tensor, Tensor]:
    """Append the difference of two images to the first one as further channels.

    Args:
        lq: (B, C, H, W), such as a small image that was enlarged.
        hq: (B, C, H, W), such as the image at full resolution.
        include_hq: Whether to append hq as well.

    Returns:
        `[lq, hq - lq]` or `[lq, hq - lq, hq]` joined along the channels, (B, 2 C or 3 C, H, W), and `hq - lq`.
    """
    difference = hq - lq
    return torch.cat([lq, difference, *([hq] if include_hq else [])], dim=1), difference


@injectors.register
def add(inputs: list[Tensor]) -> Tensor:
    """Add tensors, such as an image and a predicted residual.

    Args:
        inputs: Tensors whose shapes broadcast against each other.
    """
    total = inputs[0]
    for summand in inputs[1:]:
        total = total + summand  # Not in place, which would change the first input for its other readers.
    return total
