"""A generator that goes over frames and sees what it made of the frame before."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool.components.video.sequences import on_frames
from artschool.components.video.warp import resize_flow, warp
from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.signature import Count, Network


@injectors.register
def recurrent_generate(
    network: Network,
    flow: Network,
    frames: Tensor,
    guide: Tensor | None = None,
    *,
    scale: Count,
    start: Literal["zeros", "bicubic"] = "zeros",
    previous: Literal["channels", "argument"] = "channels",
    ping_pong: bool = False,
) -> Tensor:
    """Generate a sequence frame by frame, each from its input and the output before it, warped to where things are now.

    `out_t = network(frame_t, warp(out_{t-1}, flow(frame_t, frame_{t-1})))`: the flow is found between inputs, which the
    generator cannot change, and enlarged. Gradients go back through all frames, and into the flow network where the
    step trains it.

    Args:
        network: The generator, called once for each frame; it returns (B, C, scale H, scale W).
        flow: Takes two frames (B, C, h, w) and returns the flow from the first to the second, (B, 2, h, w) in pixels.
        frames: (B, T, C, H, W).
        guide: (B, T, C', h, w): find the flow between these instead, of any size.
        scale: How many times larger the output is.
        start: What stands for the output before the first frame: zeros, or the first frame, enlarged.
        previous: How the generator gets the warped output: as scale**2 C further channels, each of them every scale-th
            pixel (space to depth), after those of the frame; or as a second argument (B, C, scale H, scale W).
        ping_pong: Whether to go on from the last frame back to the first, for the loss of that name.

    Returns:
        (B, T, C, scale H, scale W); with `ping_pong` (B, 2 T - 1, C, scale H, scale W), frames T-2 to 0 again at the
        end.

    Raises:
        ConfigError: These are no sequences, `guide` has another number of frames, or the generator returned another
            shape.

    Source: Chu et al. 2020, arXiv:1811.09393, section 3 and appendix A; recurrence by Sajjadi et al. 2018,
        arXiv:1801.04590, section 3.
    """
    guide = frames if guide is None else guide
    _refuse_other_shapes(frames, guide)
    batch, count, channels, height, width = frames.shape
    shape = (batch, channels, height * scale, width * scale)
    order = [*range(count), *reversed(range(count - 1))] if ping_pong else list(range(count))
    before = frames.new_zeros(shape)
    if start == "bicubic":
        before = F.interpolate(frames[:, 0], shape[2:], mode="bicubic", align_corners=False)
    outputs: list[Tensor] = []
    for index, motion in zip(order, [None, *_flows(flow, guide, order)], strict=True):
        if motion is not None:
            before = warp(before, resize_flow(motion, *shape[2:]))
        if previous == "channels":
            before = network(torch.cat([frames[:, index], F.pixel_unshuffle(before, scale)], dim=1))
        else:
            before = network(frames[:, index], before)
        if before.shape != shape:
            raise ConfigError(
                f"recurrent_generate of scale {scale} expects {shape} from its generator, which returned "
                f"{tuple(before.shape)}"
            )
        outputs.append(before)
    return torch.stack(outputs, dim=1)


def _flows(flow: nn.Module, guide: Tensor, order: list[int]) -> list[Tensor]:
    """The flow from each frame but the first to the one before it, all found by one call of the network."""
    if len(order) == 1:
        return []
    return list(on_frames(flow, guide[:, order[1:]], guide[:, order[:-1]]).unbind(1))


def _refuse_other_shapes(frames: Tensor, guide: Tensor) -> None:
    if frames.dim() != 5 or guide.dim() != 5 or frames.shape[:2] != guide.shape[:2]:
        raise ConfigError(
            f"recurrent_generate takes sequences (B, T, C, H, W), not {tuple(frames.shape)}"
            + ("" if guide is frames else f" with a guide {tuple(guide.shape)}")
        )
