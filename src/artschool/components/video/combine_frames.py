"""Several frames as the channels of one image."""

from __future__ import annotations

import torch
from torch import Tensor

from artschool.components.video.sequences import on_frames
from artschool.components.video.warp import warp
from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.signature import Network


@injectors.register
def combine_frames(flow: Network, frames: Tensor, hq: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Warp all frames onto the middle one and put them behind it as channels, for a network that takes one image.

    The flow network learns nothing from it.

    Args:
        flow: Takes two frames (B, C, H, W) and returns the flow from the first to the second, (B, 2, H, W) in pixels.
        frames: (B, T, C, H, W); the middle one is frame T // 2.
        hq: (B, T, ...), what the network is to make of them; the frames themselves where it is left out.

    Returns:
        (B, T C, H, W), the middle frame and then the warped others in order; and the middle one of `hq`.

    Raises:
        ConfigError: These are no sequences, or not of as many frames.
    """
    hq = frames if hq is None else hq
    if frames.dim() != 5 or hq.shape[:2] != frames.shape[:2]:
        raise ConfigError(
            f"combine_frames takes sequences (B, T, C, H, W), and hq of as many frames, not {tuple(frames.shape)} and "
            f"{tuple(hq.shape)}"
        )
    count = frames.shape[1]
    middle = count // 2
    others = [index for index in range(count) if index != middle]
    if not others:
        return frames[:, 0], hq[:, 0]
    neighbours = frames[:, others]
    with torch.no_grad():
        found = on_frames(flow, frames[:, middle : middle + 1].expand_as(neighbours), neighbours)
    warped = on_frames(warp, neighbours, found)
    return torch.cat([frames[:, middle], warped.flatten(1, 2)], dim=1), hq[:, middle]
