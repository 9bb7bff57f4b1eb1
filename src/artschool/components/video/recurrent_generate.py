"""A recurrent generator of frames, which receives its previous output."""

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
    """Generate a sequence frame by frame, each from its input and the previous output, warped along the motion.

    `out_t = network(frame_t, warp(out_{t-1}, flow(frame_t, frame_{t-1})))`. The flow is found between inputs, which the
    generator cannot change, and enlarged. Gradients go back through all frames, and into the flow network if the step
    trains it.

    Args:
        network: Generator, called once for each frame; it returns (B, C, scale H, scale W).
        flow: Network from two frames (B, C, h, w) to the flow from the first to the second, (B, 2, h, w) in pixels.
        frames: (B, T, C, H, W).
        guide: (B, T, C', h, w), frames of any size from which the flow is computed. null: `frames`.
        scale: Factor by which the output is larger than the frames, 1 or more.
        start: Previous output at the first frame: `zeros`, or `bicubic` (the first frame, enlarged).
        previous: Input of the generator for the warped output: `channels` appends scale**2 C channels to those of the
            frame, each with every scale-th pixel (space to depth); `argument` passes (B, C, scale H, scale W) as a
            second argument.
        ping_pong: Whether to continue from the last frame back to the first, for the loss `ping_pong`.

    Returns:
        (B, T, C, scale H, scale W); with `ping_pong` (B, 2 T - 1, C, scale H, scale W), with frames T-2 to 0 appended
        in reverse.

    Raises:
        ConfigError: The inputs are not sequences, `guide` has another number of frames, or the generator returned
            another shape.

    Source: Chu et al. 2020, arXiv:1811.09393, section 3 and appendix A; recurrence by Sajjadi et al. 2018,
        arXiv:1801.04590, section 3.
    """
    guide = frames if guide is None else guide
    _check_shapes(frames, guide)
    batch, count, channels, height, width = frames.shape
    shape = (batch, channels, height * scale, width * scale)
    order = [*range(count), *reversed(range(count - 1))] if ping_pong else list(range(count))
    output = frames.new_zeros(shape)
    if start == "bicubic":
        output = F.interpolate(frames[:, 0], shape[2:], mode="bicubic", align_corners=False)
    outputs: list[Tensor] = []
    for index, motion in zip(order, [None, *_flows(flow, _visited(guide, order))], strict=True):
        if motion is not None:
            output = warp(output, resize_flow(motion, *shape[2:]))
        if previous == "channels":
            output = network(torch.cat([frames[:, index], F.pixel_unshuffle(output, scale)], dim=1))
        else:
            output = network(frames[:, index], output)
        if output.shape != shape:
            raise ConfigError(
                f"recurrent_generate: network: with scale {scale}, expected an output of {shape}, got "
                f"{tuple(output.shape)}"
            )
        outputs.append(output)
    return torch.stack(outputs, dim=1)


def _visited(frames: Tensor, order: list[int]) -> Tensor:
    """The frames in an order. To index by a list would wait for the device."""
    return torch.stack([frames[:, index] for index in order], dim=1)


def _flows(flow: nn.Module, guide: Tensor) -> list[Tensor]:
    """Return the flow from each frame but the first to the previous one, found by one call of the network."""
    if guide.shape[1] == 1:
        return []
    return list(on_frames(flow, guide[:, 1:], guide[:, :-1]).unbind(1))


def _check_shapes(frames: Tensor, guide: Tensor) -> None:
    if frames.dim() != 5 or guide.dim() != 5 or frames.shape[:2] != guide.shape[:2]:
        shown = "" if guide is frames else f" and guide {tuple(guide.shape)}"
        raise ConfigError(
            "recurrent_generate: expected frames and guide (B, T, C, H, W) of equal B and T, got frames "
            f"{tuple(frames.shape)}{shown}"
        )
