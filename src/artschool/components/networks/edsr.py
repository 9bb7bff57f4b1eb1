"""A small and fast generator for super-resolution."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from artschool.registry import ComponentRole, networks
from artschool.registry.signature import Count


@networks.register("edsr", roles=ComponentRole.STARTS_RANDOM)
class EDSR(nn.Module):
    """Residual blocks without normalization at the low resolution, then sub-pixel convolution.

    Source: Lim et al. 2017, arXiv:1707.02921, section 3; sub-pixel convolution by Shi et al. 2016, arXiv:1609.05158.

    Args:
        scale: Factor by which the output is larger than the input.
        width: Number of channels between blocks.
        blocks: Number of residual blocks, of two convolutions each.
        in_channels: Number of channels of the input images; 3 for colour.
        out_channels: Number of channels of the output images. Must equal `in_channels` for `skip: bicubic`.
        skip: Connection from input to output. `bicubic` adds the bicubically enlarged input and starts the last
            convolution at zero, so that training begins at bicubic interpolation. `none`: no connection, as in the
            paper.
    """

    def __init__(
        self,
        *,
        scale: Literal[1, 2, 3, 4] = 2,
        width: Count = 64,
        blocks: Count = 16,
        in_channels: Count = 3,
        out_channels: Count = 3,
        skip: Literal["none", "bicubic"] = "none",
    ) -> None:
        super().__init__()
        self.scale, self.skip = scale, skip
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.body = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
            for _ in range(blocks)
        )
        self.last = nn.Conv2d(width, out_channels * scale**2, 3, padding=1)
        if skip == "bicubic":
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]  # it has a bias

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) in 0..1 to (B, out_channels, scale * H, scale * W), nominally in 0..1."""
        features = self.first(x)
        for block in self.body:
            features = features + block(features)
        out = F.pixel_shuffle(self.last(features), self.scale)
        if self.skip == "bicubic":
            out = out + F.interpolate(x, scale_factor=float(self.scale), mode="bicubic", align_corners=False)
        return out
