"""The loss that trains a flow network."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.precision import at_least_float32
from artschool.components.video.sequences import on_frames
from artschool.components.video.warp import warp
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Network


@losses.register("warp", roles=ComponentRole.MINIMIZED, mean_over="samples")
def warp_loss(flow: Network, frames: Tensor, *, criterion: Literal["l1", "l2"] = "l1") -> Tensor:
    """Distance between a frame and its neighbour warped onto it: trains a flow network without true flows.

    The mean distance of `frame_t` and `warp(frame_s, flow(frame_t, frame_s))`, where s is the previous or the next
    frame.

    Args:
        flow: Network from two frames (B, C, H, W) to the flow from the first to the second, (B, 2, H, W) in pixels.
        frames: (B, T, C, H, W).
        criterion: Distance: `l1` (mean absolute difference) or `l2` (mean squared difference).

    Raises:
        ConfigError: There are fewer than two frames.

    Source: Chu et al. 2020, arXiv:1811.09393, appendix A, the warp loss of the motion estimator; there l2 and the
        previous frame alone.
    """
    if frames.dim() != 5 or frames.shape[1] < 2:
        raise ConfigError(f"warp: expected sequences (B, T, C, H, W) of 2 frames or more, got {tuple(frames.shape)}")
    these = torch.cat([frames[:, 1:], frames[:, :-1]], dim=1)
    neighbours = torch.cat([frames[:, :-1], frames[:, 1:]], dim=1)
    warped = at_least_float32(on_frames(warp, neighbours, on_frames(flow, these, neighbours)))
    target = at_least_float32(these)
    return F.l1_loss(warped, target) if criterion == "l1" else F.mse_loss(warped, target)
