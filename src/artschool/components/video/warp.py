"""Images resampled along an optical flow."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.signature import Network

Padding = Literal["border", "zeros", "reflection"]


@injectors.register
def warp(x: Tensor, flow: Tensor, *, padding: Padding = "border") -> Tensor:
    """Fetch each pixel from where the flow points: `out(p) = x(p + flow(p))`, backward warping.

    With the flow from one frame to another, it draws the other as the first sees it: `warp(second, flow)` is close to
    `first`. Between pixels it interpolates linearly; a flow of whole pixels copies pixels. Gradients reach both inputs.

    Args:
        x: (B, C, H, W).
        flow: (B, 2, H, W) in pixels of x, to the right and down; or (B, 1, H, W) to the right alone, as between the two
            views of a stereo camera. For the flow of another size see `resize_flow` and `align_by_flow`.
        padding: What stands beyond the image: its nearest pixel, zeros, or its mirror image.

    Returns:
        (B, C, H, W) in x's dtype; computed in float32 or better.

    Raises:
        ConfigError: The flow fits no pixel of x.
    """
    batch, _, height, width = x.shape
    if flow.dim() != 4 or flow.shape[1] not in (1, 2) or (flow.shape[0], *flow.shape[2:]) != (batch, height, width):
        raise ConfigError(
            f"warp takes a flow of shape ({batch}, 2, {height}, {width}) or ({batch}, 1, {height}, {width}) for images "
            f"{tuple(x.shape)}, not {tuple(flow.shape)}"
        )
    values, flow = at_least_float32(x), at_least_float32(flow)
    right, down = flow[:, 0], flow[:, 1] if flow.shape[1] == 2 else torch.zeros_like(flow[:, 0])
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None]
    # In `grid_sample` -1 and 1 are the outer edges of the outermost pixels (align_corners=False), so that one pixel is
    # 2 / width everywhere and an image of a single column is no special case.
    grid = torch.stack([(2 * (columns + right) + 1) / width - 1, (2 * (rows + down) + 1) / height - 1], dim=-1)
    return F.grid_sample(values, grid, mode="bilinear", padding_mode=padding, align_corners=False).to(x.dtype)


@injectors.register
def align_by_flow(
    flow: Network, x: Tensor, target: Tensor, *, grad: bool = False, padding: Padding = "border"
) -> Tensor:
    """Warp an image onto another one by the flow that a network finds between them.

    The flow is found at the size of `target`, for which x is resized, and enlarged for x: an image of high resolution
    is aligned with one of low resolution.

    Args:
        flow: Takes two images (B, C, h, w) and returns the flow from the first to the second, (B, 2, h, w) in pixels.
        x: (B, C, H, W), what is warped.
        target: (B, C, h, w), what it is warped onto.
        grad: Whether gradients flow through the flow network.
        padding: What stands beyond the image: its nearest pixel, zeros, or its mirror image.

    Returns:
        (B, C, H, W).
    """
    small = x if x.shape[2:] == target.shape[2:] else F.interpolate(x, target.shape[2:], mode="bicubic", antialias=True)
    with torch.set_grad_enabled(grad and torch.is_grad_enabled()):
        found = flow(target, small)
    return warp(x, resize_flow(found, x.shape[2], x.shape[3]), padding=padding)


def resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """A flow for images of another size: interpolated, and as many times longer as the images are larger.

    Args:
        flow: (B, 2, h, w) in pixels.

    Returns:
        (B, 2, height, width) in pixels, float32 or better.
    """
    flow = at_least_float32(flow)
    old_height, old_width = flow.shape[2:]
    if (height, width) == (old_height, old_width):
        return flow
    right, down = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False).unbind(1)
    return torch.stack([right * (width / old_width), down * (height / old_height)], dim=1)
