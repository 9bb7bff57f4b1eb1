"""The loss that a flow network learns from."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.precision import at_least_float32
from artschool.components.video.sequences import on_frames
from artschool.components.video.warp import warp
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Network


@losses.register("warp", roles=ComponentRole.MINIMIZED)
def warp_loss(flow: Network, frames: Tensor, *, criterion: Literal["l1", "l2"] = "l1") -> Tensor:
    """A frame looks like its neighbour, warped by the flow: what trains a flow network without any true flow.

    The mean distance of `frame_t` and `warp(frame_s, flow(frame_t, frame_s))`, where s is the frame before or the one
    after.

    Args:
        flow: Takes two frames (B, C, H, W) and returns the flow from the first to the second, (B, 2, H, W) in pixels.
        frames: (B, T, C, H, W).
        criterion: Mean absolute or mean squared difference.

    Raises:
        ConfigError: There are fewer than two frames.

    Source: Chu et al. 2020, arXiv:1811.09393, appendix A, the warp loss of the motion estimator; there l2 and the frame
        before alone.
    """
    if frames.dim() != 5 or frames.shape[1] < 2:
        raise ConfigError(
            f"the loss warp takes sequences (B, T, C, H, W) of two frames or more, not {tuple(frames.shape)}"
        )
    here = torch.cat([frames[:, 1:], frames[:, :-1]], dim=1)
    there = torch.cat([frames[:, :-1], frames[:, 1:]], dim=1)
    warped = at_least_float32(on_frames(warp, there, on_frames(flow, here, there)))
    target = at_least_float32(here)
    return F.l1_loss(warped, target) if criterion == "l1" else F.mse_loss(warped, target)
