"""An adversarial loss on triplets of frames."""

from __future__ import annotations

import torch
from torch import Tensor

from artschool.components.video.warp import resize_flow, warp
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Loss, Natural, Network


@losses.register(roles=ComponentRole.MINIMIZED, mean_over=lambda loss: loss)
def temporal_gan(
    flow: Network,
    fake: Tensor,
    guide: Tensor,
    real: Tensor | None = None,
    *,
    loss: Loss,
    margin: Natural = 0,
) -> Tensor:
    """Show a critic three successive frames, as they are and warped onto the middle one, so that it judges motion.

    `loss` is any adversarial loss on `fake` and `real`: `{type: generator_gan, network: critic, kind: hinge}` in the
    step of the generator, `discriminator_gan` in that of the critic. The critic receives
    `[x_{t-1}, x_t, x_{t+1}, warp(x_{t-1}), x_t, warp(x_{t+1})]` as 6 C channels, for every t with two neighbours, in
    batches of B (T - 2).

    Args:
        flow: Network from two frames (B, C, h, w) to the flow from the first to the second, (B, 2, h, w) in pixels. It
            receives no gradients from this loss.
        fake: (B, T, C, H, W) from the generator; frames after the T-th, such as those of a ping-pong, are ignored.
        guide: (B, T, C', h, w), frames of any size from which the flow is computed: the inputs of the generator,
            which it cannot change.
        real: (B, T, C, H, W) from the data. null: none, for a generator loss that does not use it.
        loss: Adversarial loss that receives the triplets as `fake` and, if `real` is given, as `real`.
        margin: Number of pixels removed from each side, where content that has just entered the image cannot be warped,
            0 or more.

    Raises:
        ConfigError: There are fewer than three frames, or the margin leaves no pixels.

    Source: Chu et al. 2020, arXiv:1811.09393, section 3.1, without its condition on the input.
    """
    count = guide.shape[1]
    if count < 3 or fake.shape[1] < count or (real is not None and real.shape[1] != count):
        shown = f"fake {tuple(fake.shape)}" + ("" if real is None else f", real {tuple(real.shape)}")
        raise ConfigError(
            "temporal_gan: expected 3 frames or more in guide, and as many in fake and real, got "
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
        raise ConfigError(
            f"temporal_gan: margin: expected less than half of the smaller side of frames {height} x {width}, "
            f"got {margin}"
        )
    left, middle, right = (part.flatten(0, 1) for part in (frames[:, :-2], frames[:, 1:-1], frames[:, 2:]))
    warped = warp(torch.cat([left, right]), resize_flow(to_neighbours, height, width))
    whole = torch.cat([left, middle, right, warped[: len(left)], middle, warped[len(left) :]], dim=1)
    return whole[..., margin : height - margin, margin : width - margin]
