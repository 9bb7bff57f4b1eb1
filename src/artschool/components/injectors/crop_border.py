"""Images without their border."""

import torch
from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.signature import Natural


@injectors.register
def crop_border(x: Tensor, *, margin: Natural, max_shift: Natural = 0) -> Tensor:
    """Cut the same margin from all four sides, or from two sides more than from the others.

    Args:
        x: (B, C, H, W).
        margin: How many pixels each side loses.
        max_shift: How far the window of a sample may move in each direction, at random, up to `margin`.

    Returns:
        (B, C, H - 2 margin, W - 2 margin).

    Raises:
        ConfigError: Nothing would be left, or the window could leave the image.
    """
    if max_shift > margin:
        raise ConfigError(f"crop_border has a margin of {margin}, so max_shift is at most that, not {max_shift}")
    batch, _, height, width = x.shape
    if 2 * margin >= min(height, width):
        raise ConfigError(f"crop_border leaves nothing of {height} x {width} with a margin of {margin}")
    if max_shift == 0:
        return x[..., margin : height - margin, margin : width - margin]
    shifts = torch.randint(-max_shift, max_shift + 1, (2, batch, 1), device=x.device) + margin
    rows = shifts[0] + torch.arange(height - 2 * margin, device=x.device)
    columns = shifts[1] + torch.arange(width - 2 * margin, device=x.device)
    samples = torch.arange(batch, device=x.device)[:, None, None]
    # Indices around a slice put the sliced dimension last.
    return x[samples, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
