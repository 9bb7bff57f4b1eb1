"""The generator of ESRGAN."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool.errors import ConfigError
from artschool.registry import ComponentRole, networks
from artschool.registry.signature import Count

RESIDUAL_SCALE = 0.2
INITIAL_SCALE = 0.1


class DenseBlock(nn.Module):
    """Five convolutions, each of which reads the input and all earlier outputs. Keeps the shape (B, width, H, W)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        for index in range(5):
            conv = nn.Conv2d(width + index * growth, growth if index < 4 else width, 3, padding=1)
            self.add_module(f"conv{index + 1}", _initialized(conv))

    def forward(self, x: Tensor) -> Tensor:
        """Add the scaled output of the dense path to the input."""
        *others, last = self.children()
        features = [x]
        for conv in others:
            features.append(_activated(conv(torch.cat(features, 1))))
        out: Tensor = x + RESIDUAL_SCALE * last(torch.cat(features, 1))
        return out


class Block(nn.Module):
    """Three dense blocks, whose scaled result is added to the input. Keeps the shape (B, width, H, W)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(width, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Add the scaled output of the dense blocks to the input."""
        out: Tensor = x + RESIDUAL_SCALE * self.rdb3(self.rdb2(self.rdb1(x)))
        return out


@networks.register("rrdb", roles=ComponentRole.STARTS_RANDOM)
class RRDB(nn.Module):
    """Residual-in-residual dense blocks, then nearest upsampling with convolutions.

    Parameters have the names of BasicSR and DL-Art-School. Weights with the two older layouts of ESRGAN's authors, such
    as `model.0.weight` and `RRDB_trunk.0.RDB1.conv1.weight`, fit too.

    Source: Wang et al. 2018, arXiv:1809.00219, section 3.1.

    Args:
        scale: Factor by which the output is larger than the input, or than half the input with `first_stride: 2`.
        width: Number of channels between blocks.
        growth: Number of channels that each convolution of a dense block adds.
        blocks: Number of blocks, of three dense blocks each.
        in_channels: Number of channels of the input images; 3 for color.
        out_channels: Number of channels of the output images. Must equal `in_channels` for a `skip` other than `none`.
        skip: Connection from input to output. `bicubic` adds the bicubically enlarged input and starts the last
            convolution at zero, so that training begins at bicubic interpolation. `bilinear` adds the bilinearly
            enlarged input. `bilinear_means` also subtracts from the output its mean over each square of scale x scale
            pixels, so that these means are those of the enlarged input. `none`: no connection, as in the paper.
        variant: `esrgan`: the published network. `dl_art_school`: the connection around `conv_body` begins after the
            blocks, `scale: 2` has a second convolution after the enlargement, and all convolutions start small.
        output: The result of a call: `image`, `features` of the body of shape (B, width, H, W), or
            `image_and_features`, both.
        first_stride: Stride of the first convolution. 2: it has a kernel of 7 x 7 pixels.

    Raises:
        ConfigError: The options contradict each other.
    """

    def __init__(
        self,
        *,
        scale: Literal[1, 2, 4, 8] = 4,
        width: Count = 64,
        growth: Count = 32,
        blocks: Count = 23,
        in_channels: Count = 3,
        out_channels: Count = 3,
        skip: Literal["none", "bicubic", "bilinear", "bilinear_means"] = "none",
        variant: Literal["esrgan", "dl_art_school"] = "esrgan",
        output: Literal["image", "features", "image_and_features"] = "image",
        first_stride: Literal[1, 2] = 1,
    ) -> None:
        super().__init__()
        self.scale, self.skip, self.variant, self.output = scale, skip, variant, output
        _check(skip, variant, scale=scale, first_stride=first_stride)
        kernel = 3 if first_stride == 1 else 7
        self.conv_first = nn.Conv2d(in_channels, width, kernel, first_stride, kernel // 2)
        self.body = nn.Sequential(*(Block(width, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(width, width, 3, padding=1)
        self._doublings = int(math.log2(scale))
        self.unused_weights = () if output != "features" else ("conv_up*", "conv_hr.*", "conv_last.*")
        if output != "features":
            ups = max(self._doublings, 2) if variant == "dl_art_school" else self._doublings
            for number in range(1, ups + 1):
                self.add_module(f"conv_up{number}", nn.Conv2d(width, width, 3, padding=1))
            self.conv_hr = nn.Conv2d(width, width, 3, padding=1)
            self.conv_last = nn.Conv2d(width, out_channels, 3, padding=1)
        if variant == "dl_art_school":
            for module in self.children():
                if isinstance(module, nn.Conv2d):
                    _initialized(module)
        if skip == "bicubic" and output != "features":
            nn.init.zeros_(self.conv_last.weight)
            nn.init.zeros_(self.conv_last.bias)  # type: ignore[arg-type]  # it has a bias

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(B, in_channels, H, W) in 0..1 to (B, out_channels, scale * H, scale * W), nominally in 0..1."""
        first = self.conv_first(x)
        trunk = self.body(first)
        features: Tensor = self.conv_body(trunk) + (trunk if self.variant == "dl_art_school" else first)
        if self.output == "features":
            return features
        out = features
        for index, conv in enumerate(self._ups()):
            out = F.interpolate(out, scale_factor=2.0, mode="nearest") if index < self._doublings else out
            out = _activated(conv(out))
        image = self._with_skip(self.conv_last(_activated(self.conv_hr(out))), x)
        return (image, features) if self.output == "image_and_features" else image

    def _ups(self) -> Iterator[nn.Module]:
        return (module for name, module in self.named_children() if name.startswith("conv_up"))

    def _with_skip(self, out: Tensor, x: Tensor) -> Tensor:
        if self.skip == "none":
            return out
        if self.skip == "bilinear_means":
            means = F.avg_pool2d(out, self.scale)
            out = out - F.interpolate(means, scale_factor=float(self.scale), mode="nearest")
        mode = "bicubic" if self.skip == "bicubic" else "bilinear"
        return out + F.interpolate(x, scale_factor=float(self.scale), mode=mode, align_corners=False)

    @property
    def other_weight_names(self) -> dict[str, str]:
        """The names of parameters by their names in the two older layouts of ESRGAN's authors."""
        names: dict[str, str] = {}
        for name in self.state_dict():
            module, _, leaf = name.rpartition(".")
            for other in self._other_modules(module):
                names[f"{other}.{leaf}"] = name
        return names

    def _other_modules(self, module: str) -> list[str]:
        """The names of a convolution in the newer and the older of the two layouts."""
        if module.startswith("body."):
            _, block, dense, conv = module.split(".")
            dense = dense.replace("rdb", "RDB")
            return [f"RRDB_trunk.{block}.{dense}.{conv}", f"model.1.sub.{block}.{dense}.{conv}.0"]
        if module.startswith("conv_up"):
            number = int(module.removeprefix("conv_up"))
            return [f"upconv{number}", f"model.{3 * number}"]
        # An activation lies between `conv_hr` and `conv_last`, an enlargement before and an activation after `conv_up`.
        last = 3 * sum(1 for _ in self._ups()) + 2
        newer = {"conv_first": "conv_first", "conv_body": "trunk_conv", "conv_hr": "HRconv", "conv_last": "conv_last"}
        older = {"conv_first": 0, "conv_body": f"1.sub.{len(self.body)}", "conv_hr": last, "conv_last": last + 2}
        return [newer[module], f"model.{older[module]}"]


def _check(skip: str, variant: str, *, scale: int, first_stride: int) -> None:
    if skip != "none" and first_stride == 2:
        raise ConfigError(f"rrdb: `skip: {skip}` requires `first_stride: 1`, since the input has another size")
    if variant == "dl_art_school" and scale == 1:
        raise ConfigError("rrdb: `variant: dl_art_school` has no scale of 1: its smallest is 2")


def _activated(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def _initialized(conv: nn.Conv2d) -> nn.Conv2d:
    """Start at a tenth of He's deviation for ReLU, without a bias."""
    nn.init.kaiming_normal_(conv.weight)
    with torch.no_grad():
        conv.weight.mul_(INITIAL_SCALE)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
