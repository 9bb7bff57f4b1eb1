"""Images resampled along an optical flow."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.signature import Network

Padding = Literal["border", "zeros", "reflection"]


@injectors.register
def warp(x: Tensor, flow: Tensor, *, padding: Padding = "border") -> Tensor:
    """Sample each pixel where the flow points: `out(p) = x(p + flow(p))`, backward warping.

    With the flow from one frame to another, it draws the second as the first shows it: `warp(second, flow)` is close to
    `first`. Interpolation between pixels is linear; a flow of whole pixels copies pixels. Gradients reach both inputs.

    Args:
        x: (B, C, H, W).
        flow: (B, 2, H, W) in pixels of x, to the right and down; or (B, 1, H, W) to the right alone, as between the two
            views of a stereo camera. For a flow of another size use `align_by_flow`.
        padding: Pixels beyond the image: `border` (its nearest pixel), `zeros`, or `reflection` (its mirror image).

    Returns:
        (B, C, H, W) in x's dtype; computed in float32 or better.

    Raises:
        ConfigError: The flow does not have the size of x.
    """
    batch, _, height, width = x.shape
    if flow.dim() != 4 or flow.shape[1] not in (1, 2) or (flow.shape[0], *flow.shape[2:]) != (batch, height, width):
        raise ConfigError(
            f"warp: expected a flow ({batch}, 2, {height}, {width}) or ({batch}, 1, {height}, {width}) for images "
            f"{tuple(x.shape)}, got {tuple(flow.shape)}"
        )
    values, flow = at_least_float32(x), at_least_float32(flow)
    right, down = flow[:, 0], flow[:, 1] if flow.shape[1] == 2 else torch.zeros_like(flow[:, 0])
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None]
    # In `grid_sample` -1 and 1 are the outer edges of the outermost pixels (align_corners=False), so that one pixel is
    # 2 / width everywhere and a single column needs no special case.
    grid = torch.stack([(2 * (columns + right) + 1) / width - 1, (2 * (rows + down) + 1) / height - 1], dim=-1)
    return F.grid_sample(values, grid, mode="bilinear", padding_mode=padding, align_corners=False).to(x.dtype)


@injectors.register
def align_by_flow(
    flow: Network, x: Tensor, target: Tensor, *, grad: bool = False, padding: Padding = "border"
) -> Tensor:
    """Warp an image onto another one by the flow that a network finds between them.

    The flow is found at the size of `target`, to which x is resized, and enlarged for x: a high-resolution image is
    aligned with a low-resolution one.

    Args:
        flow: Network from two images (B, C, h, w) to the flow from the first to the second, (B, 2, h, w) in pixels.
        x: (B, C, H, W), the image to warp.
        target: (B, C, h, w), the image to warp onto.
        grad: Whether gradients flow through the flow network.
        padding: Pixels beyond the image: `border` (its nearest pixel), `zeros`, or `reflection` (its mirror image).

    Returns:
        (B, C, H, W).
    """
    small = x if x.shape[2:] == target.shape[2:] else F.interpolate(x, target.shape[2:], mode="bicubic", antialias=True)
    with torch.set_grad_enabled(grad and torch.is_grad_enabled()):
        found = flow(target, small)
    return warp(x, resize_flow(found, x.shape[2], x.shape[3]), padding=padding)


def resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """Interpolate a flow for images of another size, and scale its length with them.

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
