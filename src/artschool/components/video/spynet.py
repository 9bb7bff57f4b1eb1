"""A small network for optical flow."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from artschool.components.precision import at_least_float32
from artschool.components.video.warp import resize_flow, warp
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, networks
from artschool.registry.signature import Count

SMALLEST_VARIANCE = 1e-4


@networks.register("spynet", roles=ComponentRole.STARTS_RANDOM)
class SpyNet(nn.Module):
    """Optical flow from coarse to fine: each level of an image pyramid corrects the flow of the coarser level.

    A level warps the second image by the current flow. Its convolutions receive both images and that flow, so that no
    level has to detect motion of more than a few pixels. The last convolutions start at zero: training begins at no
    motion.

    Source: Ranjan and Black 2017, arXiv:1611.00850, section 3; there `levels` is 5 or more, `width` 32 and `kernel` 7.

    Args:
        in_channels: Number of channels of an image, 1 or more.
        levels: Number of levels of the pyramid, 1 or more, each half as large as the next finer one.
        width: Number of channels between convolutions, 2 or more; twice as many in the middle.
        kernel: Side of the convolution kernels in pixels, odd.
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
            raise ConfigError(
                f"spynet: kernel: expected an odd number, so that pixels keep their position, got {kernel}"
            )
        self.levels = nn.ModuleList(_level(2 * in_channels + 2, width, kernel) for _ in range(levels))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Estimate the flow from the first image to the second.

        Args:
            first: (B, in_channels, H, W), about 0..1; any size.
            second: Same shape as first.

        Returns:
            (B, 2, H, W) in pixels, to the right and down: the motion of each pixel of `first` to its position in
            `second`.
        """
        height, width = first.shape[2:]
        step = 2 ** (len(self.levels) - 1)
        size = [-(-side // step) * step for side in (height, width)]
        one, other = _normalized(first, second)
        pyramid = [(_resized(one, size), _resized(other, size))]
        for _ in self.levels[1:]:
            pyramid.append((F.avg_pool2d(pyramid[-1][0], 2), F.avg_pool2d(pyramid[-1][1], 2)))
        coarsest = pyramid[-1][0]
        flow = coarsest.new_zeros((coarsest.shape[0], 2, *coarsest.shape[2:]))
        for level, (one, other) in zip(self.levels, reversed(pyramid), strict=True):
            flow = resize_flow(flow, *one.shape[2:])
            flow = flow + level(torch.cat([one, warp(other, flow), flow.to(one.dtype)], dim=1))
        return resize_flow(flow, height, width)


def _normalized(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return both images without the brightness and contrast of the pair, on which motion does not depend."""
    pair = at_least_float32(torch.stack([first, second]))
    mean = pair.mean((0, 3, 4), keepdim=True)
    deviation = (pair - mean).square().mean((0, 2, 3, 4), keepdim=True).add(SMALLEST_VARIANCE).sqrt()
    one, other = ((pair - mean) / deviation).unbind(0)
    return one, other


def _resized(x: Tensor, size: list[int]) -> Tensor:
    return x if list(x.shape[2:]) == size else F.interpolate(x, size, mode="bilinear", align_corners=False)


def _level(in_channels: int, width: int, kernel: int) -> nn.Sequential:
    channels = [in_channels, width, 2 * width, width, width // 2, 2]
    modules: list[nn.Module] = []
    for before, after in pairwise(channels):
        modules += [nn.Conv2d(before, after, kernel, padding=kernel // 2), nn.ReLU()]
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    for conv in convolutions:
        # PyTorch's default initialization shrinks activations: after four ReLUs, little but the biases would remain.
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # it has a bias
    nn.init.zeros_(convolutions[-1].weight)
    return nn.Sequential(*modules[:-1])
