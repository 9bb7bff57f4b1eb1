"""What an image lacks of another, and the sum that undoes it."""

import torch
from torch import Tensor

from artschool.registry import injectors


@injectors.register
def difference_channels(lq: Tensor, hq: Tensor, *, include_hq: bool = False) -> tuple[Tensor, Tensor]:
    """Set the difference of two images beside the first one, as more channels.

    Args:
        lq: (B, C, H, W), such as a small image that was resized.
        hq: (B, C, H, W), such as the full image.
        include_hq: Whether hq follows as well.

    Returns:
        `[lq, hq - lq]` or `[lq, hq - lq, hq]` joined along the channels, (B, 2 C or 3 C, H, W), and `hq - lq`.
    """
    difference = hq - lq
    return torch.cat([lq, difference, *([hq] if include_hq else [])], dim=1), difference


@injectors.register
def add(inputs: list[Tensor]) -> Tensor:
    """Add tensors, such as an image and what a network says it lacks.

    Args:
        inputs: Shapes that broadcast against each other.
    """
    total = inputs[0]
    for other in inputs[1:]:
        total = total + other  # Not in place: the first would change for others too.
    return total
