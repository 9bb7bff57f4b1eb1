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
    """Warp all frames onto the middle one and append them as channels, for a network that takes one image.

    The flow network receives no gradients.

    Args:
        flow: Network from two frames (B, C, H, W) to the flow from the first to the second, (B, 2, H, W) in pixels.
        frames: (B, T, C, H, W); the middle one is frame T // 2.
        hq: (B, T, ...), targets of the network. null: the frames themselves.

    Returns:
        (B, T C, H, W), the middle frame and then the warped others in order; and the middle one of `hq`.

    Raises:
        ConfigError: `frames` is not a sequence, or `hq` has another number of frames.
    """
    hq = frames if hq is None else hq
    if frames.dim() != 5 or hq.shape[:2] != frames.shape[:2]:
        raise ConfigError(
            "combine_frames: expected frames (B, T, C, H, W), and hq with the same B and T, got "
            f"{tuple(frames.shape)} and {tuple(hq.shape)}"
        )
    count = frames.shape[1]
    middle = count // 2
    if count == 1:
        return frames[:, 0], hq[:, 0]
    neighbours = torch.cat([frames[:, :middle], frames[:, middle + 1 :]], dim=1)
    with torch.no_grad():
        found = on_frames(flow, frames[:, middle : middle + 1].expand_as(neighbours), neighbours)
    warped = on_frames(warp, neighbours, found)
    return torch.cat([frames[:, middle], warped.flatten(1, 2)], dim=1), hq[:, middle]
