"""A generator that looks closer and closer at what it has made."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.signature import Count, Network


@injectors.register
def progressive_zoom(network: Network, lq: Tensor, hq: Tensor, *, depth: Count) -> tuple[Tensor, Tensor]:
    """Enlarge an image, then a window of the result, then a window of that, and so on.

    A generator that doubles an image is called `depth` times. The first call sees `lq`; each further one a window of
    the output before it, as large as `lq`, at a random place for each sample. So it learns to work on images of its
    own, at every scale, with gradients through the whole chain.

    Args:
        network: (B, C, h, w) to (B, C, 2 h, 2 w).
        lq: (B, C, h, w), the whole image.
        hq: (B, C, 2**depth h, 2**depth w), the same image with all its details.
        depth: How many calls.

    Returns:
        The outputs and, for each, the same window of `hq` averaged to its size, both (depth B, C, 2 h, 2 w) with the
        coarsest first: two batches of images for any loss.

    Raises:
        ConfigError: `hq` has another size, or the generator does not double.
    """
    batch, channels, height, width = lq.shape
    if hq.shape != (batch, channels, height * 2**depth, width * 2**depth):
        raise ConfigError(
            f"progressive_zoom of depth {depth} takes hq 2**{depth} times as large as lq {tuple(lq.shape)}, not "
            f"{tuple(hq.shape)}"
        )
    outputs: list[Tensor] = []
    targets: list[Tensor] = []
    for level in range(depth):
        if level:
            down = torch.randint(height + 1, (batch,), device=lq.device)
            right = torch.randint(width + 1, (batch,), device=lq.device)
            pixel = hq.shape[2] // (2 * height)  # Side of a pixel of the output before, in pixels of hq.
            lq = _windows(outputs[-1], down, right, height, width)
            hq = _windows(hq, down * pixel, right * pixel, height * pixel, width * pixel)
        out = network(lq)
        if out.shape != (batch, channels, 2 * height, 2 * width):
            raise ConfigError(
                f"progressive_zoom takes a generator that makes {(batch, channels, 2 * height, 2 * width)} of "
                f"{tuple(lq.shape)}, not {tuple(out.shape)}"
            )
        outputs.append(out)
        targets.append(F.avg_pool2d(hq, hq.shape[2] // (2 * height)))
    return torch.cat(outputs), torch.cat(targets)


def _windows(x: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """A window of each sample of (B, C, H, W), from row `top` and column `left`, both (B,)."""
    rows = top[:, None] + torch.arange(height, device=x.device)
    columns = left[:, None] + torch.arange(width, device=x.device)
    samples = torch.arange(x.shape[0], device=x.device)[:, None, None]
    # Indices around a slice put the sliced dimension last.
    return x[samples, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
