"""A small network for optical flow."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from artschool.components.losses.precision import at_least_float32
from artschool.components.video.warp import resize_flow, warp
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, networks
from artschool.registry.signature import Count

SMALLEST_VARIANCE = 1e-4


@networks.register("spynet", roles=ComponentRole.STARTS_RANDOM)
class SpyNet(nn.Module):
    """Optical flow from coarse to fine: each level of an image pyramid corrects the flow of the level above.

    A level warps the second image by the flow so far, and its convolutions see both images and that flow, so none has
    to see further than a few pixels. The last convolutions start at zero: training begins at no motion.

    Source: Ranjan and Black 2017, arXiv:1611.00850, section 3; there `levels` is 5 or more, `width` 32 and `kernel` 7.

    Args:
        in_channels: Channels of an image.
        levels: Levels of the pyramid, each half as large as the one below.
        width: Channels between convolutions; in the middle twice as many.
        kernel: Side of the convolutions, odd.
    """

    def __init__(
        self,
        *,
        in_channels: Count = 3,
        levels: Count = 5,
        width: Annotated[int, Field(ge=2)] = 32,
        kernel: Count = 7,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ConfigError(f"spynet takes an odd kernel, not {kernel}: pixels have to stay where they are")
        self.levels = nn.ModuleList(_level(2 * in_channels + 2, width, kernel) for _ in range(levels))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The flow from the first image to the second.

        Args:
            first: (B, in_channels, H, W), in 0..1 or so; any size.
            second: The same shape.

        Returns:
            (B, 2, H, W) in pixels, to the right and down: where what is here in `first` is in `second`.
        """
        height, width = first.shape[2:]
        step = 2 ** (len(self.levels) - 1)
        size = [-(-side // step) * step for side in (height, width)]
        pyramid = [(_at(one, size), _at(other, size)) for one, other in [_normalized(first, second)]]
        for _ in self.levels[1:]:
            pyramid.append((F.avg_pool2d(pyramid[-1][0], 2), F.avg_pool2d(pyramid[-1][1], 2)))
        coarsest = pyramid[-1][0]
        flow = coarsest.new_zeros((coarsest.shape[0], 2, *coarsest.shape[2:]))
        for level, (one, other) in zip(self.levels, reversed(pyramid), strict=True):
            flow = resize_flow(flow, *one.shape[2:])
            flow = flow + level(torch.cat([one, warp(other, flow), flow.to(one.dtype)], dim=1))
        return resize_flow(flow, height, width)


def _normalized(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Both with the brightness and the contrast of the pair taken out: motion depends on neither."""
    pair = at_least_float32(torch.stack([first, second]))
    mean = pair.mean((0, 3, 4), keepdim=True)
    deviation = (pair - mean).square().mean((0, 2, 3, 4), keepdim=True).add(SMALLEST_VARIANCE).sqrt()
    one, other = ((pair - mean) / deviation).unbind(0)
    return one, other


def _at(x: Tensor, size: list[int]) -> Tensor:
    return x if list(x.shape[2:]) == size else F.interpolate(x, size, mode="bilinear", align_corners=False)


def _level(in_channels: int, width: int, kernel: int) -> nn.Sequential:
    channels = [in_channels, width, 2 * width, width, width // 2, 2]
    modules: list[nn.Module] = []
    for before, after in pairwise(channels):
        modules += [nn.Conv2d(before, after, kernel, padding=kernel // 2), nn.ReLU()]
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    for conv in convolutions:
        # Torch's own start shrinks what a ReLU passes on: after four of them nothing but biases would be left.
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # it has a bias
    nn.init.zeros_(convolutions[-1].weight)
    return nn.Sequential(*modules[:-1])
