"""Crops of the corners of images."""

import torch.nn.functional as F
from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.context import Context
from artschool.registry.ranges import same_as
from artschool.registry.signature import Count


@injectors.register(values=same_as("x"))
def corner_crops(
    x: Tensor, *, size: Count, resize: Count | None = None, context: Context
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Crop a square from each corner in training. In evaluations, every result is the whole image.

    The loss `translational` compares the outputs of a network for two of the crops where they overlap.

    Args:
        x: (B, C, H, W).
        size: Height and width of a crop in pixels.
        resize: Height and width in pixels to which the results are resized by nearest neighbour. null: no resizing.
        context: Gives whether this is training.

    Returns:
        The input for the network, which is the top left crop, followed by the crops at the top left, top right,
        bottom left and bottom right. Each is (B, C, size, size), or (B, C, resize, resize).

    Raises:
        ConfigError: The images are smaller than the crops.
    """
    if not context.training:
        whole = x if resize is None else F.interpolate(x, size=(resize, resize))
        return whole, whole, whole, whole, whole
    height, width = x.shape[-2:]
    if size > min(height, width):
        raise ConfigError(f"corner_crops cuts {size} x {size}, but the images are {height} x {width}")
    down, right = height - size, width - size
    crops = [x[..., y : y + size, x0 : x0 + size] for y in (0, down) for x0 in (0, right)]
    if resize is not None:
        crops = [F.interpolate(crop, size=(resize, resize)) for crop in crops]
    return crops[0], crops[0], crops[1], crops[2], crops[3]
