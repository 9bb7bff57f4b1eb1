"""Images without a border."""

import torch
from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.ranges import same_as
from artschool.registry.signature import Natural


@injectors.register(values=same_as("x"))
def crop_border(x: Tensor, *, margin: Natural, max_shift: Natural = 0) -> Tensor:
    """Crop a margin from all four sides, optionally with a random shift of the window.

    Args:
        x: (B, C, H, W).
        margin: Number of pixels to crop from each side.
        max_shift: Maximum random shift of the window in pixels, for each sample and each direction; at most `margin`.
            0: no shift.

    Returns:
        (B, C, H - 2 margin, W - 2 margin).

    Raises:
        ConfigError: Nothing of the image is left, or `max_shift` is above `margin`.
    """
    if max_shift > margin:
        raise ConfigError(f"crop_border: max_shift must be at most the margin of {margin}, got {max_shift}")
    batch, _, height, width = x.shape
    if 2 * margin >= min(height, width):
        raise ConfigError(f"crop_border: a margin of {margin} leaves nothing of an image of {height} x {width} pixels")
    if max_shift == 0:
        return x[..., margin : height - margin, margin : width - margin]
    shifts = torch.randint(-max_shift, max_shift + 1, (2, batch, 1), device=x.device) + margin
    rows = shifts[0] + torch.arange(height - 2 * margin, device=x.device)
    columns = shifts[1] + torch.arange(width - 2 * margin, device=x.device)
    samples = torch.arange(batch, device=x.device)[:, None, None]
    # Index tensors on both sides of a slice move the sliced dimension to the end.
    return x[samples, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
