"""The corners of images."""

import torch.nn.functional as F
from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.context import Context
from artschool.registry.signature import Count


@injectors.register
def corner_crops(
    x: Tensor, *, size: Count, resize: Count | None = None, context: Context
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Cut a square from each corner when training; in evaluation, every result is the whole image.

    What a network makes of two crops has to agree where they overlap: the consistency that translational losses ask
    for.

    Args:
        x: (B, C, H, W).
        size: Height and width of a crop, in pixels.
        resize: Height and width of the results, by the nearest pixel.
        context: Says whether this is training.

    Returns:
        What to feed a network with (the top left crop again), then the crops at the top left, top right, bottom left
        and bottom right, each (B, C, size, size).

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
