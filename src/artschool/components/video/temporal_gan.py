"""An adversarial loss on triplets of frames."""

from __future__ import annotations

import torch
from torch import Tensor

from artschool.components.video.warp import resize_flow, warp
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Loss, Natural, Network


@losses.register(roles=ComponentRole.MINIMIZED)
def temporal_gan(
    flow: Network,
    fake: Tensor,
    guide: Tensor,
    real: Tensor | None = None,
    *,
    loss: Loss,
    margin: Natural = 0,
) -> Tensor:
    """Show a critic three frames in a row, as they are and warped onto the middle one, so that it judges motion.

    The critic itself stands in `loss`, any adversarial loss on `fake` and `real`: `{type: generator_gan, network:
    critic, kind: hinge}` in the step of the generator, `discriminator_gan` in that of the critic. It sees
    `[x_{t-1}, x_t, x_{t+1}, warp(x_{t-1}), x_t, warp(x_{t+1})]` as 6 C channels, for every t that has neighbours, in
    batches of B (T - 2).

    Args:
        flow: Takes two frames (B, C, h, w) and returns the flow from the first to the second, (B, 2, h, w) in pixels.
            It learns nothing from this loss.
        fake: (B, T, C, H, W) from the generator; frames after the T-th, such as the way back of a ping-pong, are left
            out.
        guide: (B, T, C', h, w), what the flow is found between, of any size: the generator's inputs, so that it cannot
            make a flow that suits it.
        real: (B, T, C, H, W) from the data; a generator's loss that never looks at it can do without.
        loss: Gets the triplets as `fake` and, where there is a `real`, as `real`.
        margin: Pixels cut from each side, where what has just come into view cannot be warped.

    Raises:
        ConfigError: There are fewer than three frames, or the margin leaves nothing.

    Source: Chu et al. 2020, arXiv:1811.09393, section 3.1, without its condition on the input.
    """
    count = guide.shape[1]
    if count < 3 or fake.shape[1] < count or (real is not None and real.shape[1] != count):
        shown = f"fake {tuple(fake.shape)}" + ("" if real is None else f", real {tuple(real.shape)}")
        raise ConfigError(
            "temporal_gan takes three frames or more, of fake and real as many as of guide, not "
            f"guide {tuple(guide.shape)}, {shown}"
        )
    middle, left, right = (part.flatten(0, 1) for part in (guide[:, 1:-1], guide[:, :-2], guide[:, 2:]))
    with torch.no_grad():
        to_neighbours: Tensor = flow(torch.cat([middle, middle]), torch.cat([left, right]))
    triplets = {"fake": _triplets(fake[:, :count], to_neighbours, margin)}
    if real is not None:
        triplets["real"] = _triplets(real, to_neighbours, margin)
    return loss(**triplets)


def _triplets(frames: Tensor, to_neighbours: Tensor, margin: int) -> Tensor:
    """(B, T, C, H, W) to (B (T - 2), 6 C, H - 2 margin, W - 2 margin)."""
    height, width = frames.shape[3:]
    if 2 * margin >= min(height, width):
        raise ConfigError(f"temporal_gan leaves nothing of {height} x {width} with a margin of {margin}")
    left, middle, right = (part.flatten(0, 1) for part in (frames[:, :-2], frames[:, 1:-1], frames[:, 2:]))
    warped = warp(torch.cat([left, right]), resize_flow(to_neighbours, height, width))
    whole = torch.cat([left, middle, right, warped[: len(left)], middle, warped[len(left) :]], dim=1)
    return whole[..., margin : height - margin, margin : width - margin]
