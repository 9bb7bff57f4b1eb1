"""The generator of ESRGAN."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool.registry import ComponentRole, networks
from artschool.registry.signature import Count

RESIDUAL_SCALE = 0.2


class DenseBlock(nn.Module):
    """Five convolutions, each of which reads the input and all earlier outputs. Keeps the shape (B, width, H, W)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(width + index * growth, growth if index < 4 else width, 3, padding=1) for index in range(5)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add the scaled output of the dense path to the input."""
        features = [x]
        for conv in self.convs[:4]:
            features.append(F.leaky_relu(conv(torch.cat(features, 1)), 0.2))
        out: Tensor = x + RESIDUAL_SCALE * self.convs[4](torch.cat(features, 1))
        return out


@networks.register("rrdb", roles=ComponentRole.STARTS_RANDOM)
class RRDB(nn.Module):
    """Residual-in-residual dense blocks, then nearest upsampling with convolutions.

    Source: Wang et al. 2018, arXiv:1809.00219, section 3.1.

    Args:
        scale: Factor by which the output is larger than the input.
        width: Number of channels between blocks.
        growth: Number of channels that each convolution of a dense block adds.
        blocks: Number of blocks, of three dense blocks each.
        in_channels: Number of channels of the input images; 3 for colour.
        out_channels: Number of channels of the output images. Must equal `in_channels` for `skip: bicubic`.
        skip: Connection from input to output. `bicubic` adds the bicubically enlarged input and starts the last
            convolution at zero, so that training begins at bicubic interpolation. `none`: no connection, as in the
            paper.
    """

    def __init__(
        self,
        *,
        scale: Literal[1, 2, 4] = 4,
        width: Count = 64,
        growth: Count = 32,
        blocks: Count = 23,
        in_channels: Count = 3,
        out_channels: Count = 3,
        skip: Literal["none", "bicubic"] = "none",
    ) -> None:
        super().__init__()
        self.scale, self.skip = scale, skip
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.body = nn.ModuleList(nn.Sequential(*(DenseBlock(width, growth) for _ in range(3))) for _ in range(blocks))
        self.body_end = nn.Conv2d(width, width, 3, padding=1)
        self.up = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range({1: 0, 2: 1, 4: 2}[scale]))
        self.high = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, out_channels, 3, padding=1)
        if skip == "bicubic":
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]  # it has a bias

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) in 0..1 to (B, out_channels, scale * H, scale * W), nominally in 0..1."""
        features = self.first(x)
        trunk = features
        for block in self.body:
            trunk = trunk + RESIDUAL_SCALE * (block(trunk) - trunk)
        features = features + self.body_end(trunk)
        for conv in self.up:
            features = F.leaky_relu(conv(F.interpolate(features, scale_factor=2.0, mode="nearest")), 0.2)
        out: Tensor = self.last(F.leaky_relu(self.high(features), 0.2))
        if self.skip == "bicubic":
            out = out + F.interpolate(x, scale_factor=float(self.scale), mode="bicubic", align_corners=False)
        return out
