"""Layers with equalized learning rates, and convolutions that a style modulates."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool.components.precision import at_least_float32

EPSILON = 1e-8


class EqualizedLinear(nn.Module):
    """A linear layer whose weights are scaled when it is called, so that Adam moves all layers at one speed.

    `y = rate (W / sqrt(in) x + b)`, with W initialized to normal numbers of deviation 1 / rate.

    Source: Karras et al. 2018, arXiv:1710.10196, section 4.1; rate: Karras et al. 2019, arXiv:1812.04948, appendix C.
    """

    def __init__(self, in_features: int, out_features: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self._rate = rate
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / rate)
        self.bias = nn.Parameter(torch.full((out_features,), bias / rate))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_features) to (B, out_features)."""
        return F.linear(x, self.weight * (self._rate / math.sqrt(self.weight.shape[1])), self.bias * self._rate)


class EqualizedConv(nn.Module):
    """A convolution whose weights are scaled when it is called: `W / sqrt(in * kernel**2)`, W standard normal."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H, W)."""
        weight = self.weight / math.sqrt(self.weight[0].numel())
        return F.conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2)


class ModulatedConv(nn.Module):
    """A convolution whose input channels a style scales, and whose output is scaled back to unit variance.

    With the weights w and the scale s_i of input channel i, those of a sample are
    `s_i w_oik / sqrt(sum_ik (s_i w_oik)^2 + eps)`. The scales multiply the input and the output instead of the weights,
    which is the same and needs one convolution for the whole batch.

    Source: Karras et al. 2020, arXiv:1912.04958, eq. 1 and 3.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, latent: int, *, demodulate: bool = True
    ) -> None:
        super().__init__()
        self._demodulate = demodulate
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.scales = EqualizedLinear(latent, in_channels, bias=1.0)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(B, in_channels, H, W) and (B, latent) to (B, out_channels, H, W)."""
        scales = self.scales(style)
        weight = self.weight / math.sqrt(self.weight[0].numel())
        x = F.conv2d(x * scales[:, :, None, None], weight, padding=weight.shape[-1] // 2)
        if self._demodulate:
            # Sums of squares, without autocast's half precision.
            power = at_least_float32(scales).square()[:, None] * weight.square().sum((2, 3))
            x = x * torch.rsqrt(power.sum(2) + EPSILON).to(x.dtype)[:, :, None, None]
        return x + self.bias[:, None, None]


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU, scaled to keep the mean square of standard normal numbers."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2 / (1 + 0.2**2))
