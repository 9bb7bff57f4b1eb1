"""Networks of digits_stylegan.yml: a small StyleGAN2 that draws the digit it is asked for.

Source: Karras et al. 2020, arXiv:1912.04958; conditions as in Karras et al. 2020, arXiv:2006.06676, appendix B.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu, linear

from artschool import networks

NUM_CLASSES = 10
NUM_LAYERS = 3
GAIN = math.sqrt(2)


class EqualizedLinear(nn.Module):
    """A linear layer whose weights are scaled when it is called, so that all layers learn at one speed.

    Source: Karras et al. 2018, arXiv:1710.10196, section 4.1.
    """

    def __init__(self, in_features: int, out_features: int, *, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features))
        self.bias = nn.Parameter(torch.full((out_features,), bias))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_features) to (B, out_features)."""
        return linear(x, self.weight / math.sqrt(self.weight.shape[1]), self.bias)


class EqualizedConv(nn.Module):
    """A convolution whose weights are scaled when it is called."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H, W)."""
        weight = self.weight / math.sqrt(self.weight[0].numel())
        return conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2)


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style, and whose output is scaled back to unit variance.

    Source: section 2.2, eq. 1 and 3.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, latent: int, *, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.scales = EqualizedLinear(latent, in_channels, bias=1.0)
        self.demodulate = demodulate

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(B, C, H, W) and (B, D) to (B, out, H, W)."""
        scales = self.scales(style)
        weight = self.weight / math.sqrt(self.weight[0].numel())
        x = conv2d(x * scales[:, :, None, None], weight, padding=weight.shape[-1] // 2)
        if self.demodulate:
            variance = scales.square() @ weight.square().sum((2, 3)).T
            x = x * torch.rsqrt(variance + 1e-8)[:, :, None, None]
        return x + self.bias[:, None, None]


@networks.register
class StyleMapper(nn.Module):
    """Maps latents and classes to the styles of each layer of a `style_painter`.

    Args:
        latent: Size D of a latent, and of a style.
        layers: Number of linear layers.
    """

    def __init__(self, *, latent: int = 32, layers: int = 3) -> None:
        super().__init__()
        self.classes = nn.Embedding(NUM_CLASSES, latent)
        self.layers = nn.ModuleList(EqualizedLinear(latent if i else 2 * latent, latent) for i in range(layers))

    def forward(self, first: Tensor, second: Tensor, label: Tensor) -> Tensor:
        """Two latents (B, D) and classes (B,) to styles (B, 3, D): the second latent rules from a random layer on."""
        styles = torch.stack([self.style(first, label), self.style(second, label)], 1)
        start = torch.randint(1, NUM_LAYERS, (len(first), 1), device=first.device)
        which = (torch.arange(NUM_LAYERS, device=first.device) >= start).long()
        return styles.gather(1, which[:, :, None].expand(-1, -1, styles.shape[2]))

    def style(self, latent: Tensor, label: Tensor) -> Tensor:
        """(B, D) and (B,) to (B, D)."""
        x = torch.cat([_unit(latent), _unit(self.classes(label))], 1)
        for layer in self.layers:
            x = leaky_relu(layer(x), 0.2) * GAIN
        return x


@networks.register
class StylePainter(nn.Module):
    """Draws an image from the styles of its layers and from noise.

    Args:
        latent: Size D of a style.
        width: Channels of each layer.
    """

    def __init__(self, *, latent: int = 32, width: int = 32) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(1, width, 4, 4))
        self.convs = nn.ModuleList(ModulatedConv(width, width, 3, latent) for _ in range(NUM_LAYERS))
        self.strengths = nn.Parameter(torch.zeros(NUM_LAYERS))
        self.to_images = nn.ModuleList(ModulatedConv(width, 1, 1, latent, demodulate=False) for _ in range(2))

    def forward(self, styles: Tensor) -> Tensor:
        """(B, 3, D) to images (B, 1, 8, 8)."""
        x = self.layer(self.constant.expand(len(styles), -1, -1, -1), styles, 0)
        image = self.to_images[0](x, styles[:, 0])
        x = interpolate(x, scale_factor=2, mode="bilinear")
        x = self.layer(self.layer(x, styles, 1), styles, 2)
        details: Tensor = self.to_images[1](x, styles[:, 2])
        return interpolate(image, scale_factor=2, mode="bilinear") + details

    def layer(self, x: Tensor, styles: Tensor, index: int) -> Tensor:
        """A modulated convolution, noise and a nonlinearity."""
        x = self.convs[index](x, styles[:, index])
        x = x + self.strengths[index] * torch.randn_like(x[:, :1])
        return leaky_relu(x, 0.2) * GAIN


@networks.register
class StyleCritic(nn.Module):
    """Judges whether an image is real, and whether it is the requested digit: a residual network.

    The logit is the product of features and a vector of the class.

    Args:
        width: Channels of the convolutions.
    """

    def __init__(self, *, width: int = 32) -> None:
        super().__init__()
        self.start = EqualizedConv(1, width, 1)
        self.convs = nn.ModuleList([EqualizedConv(width, width, 3), EqualizedConv(width, width, 3)])
        self.skip = EqualizedConv(width, width, 1)
        self.last = EqualizedConv(width + 1, width, 3)
        self.flat = EqualizedLinear(16 * width, width)
        self.features = EqualizedLinear(width, width)
        self.classes = nn.Embedding(NUM_CLASSES, width)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """(B, 1, 8, 8) and (B,) to logits (B,)."""
        x = leaky_relu(self.start(x), 0.2) * GAIN
        deep = x
        for conv in self.convs:
            deep = leaky_relu(conv(deep), 0.2) * GAIN
        x = (_halved(deep) + self.skip(_halved(x))) / GAIN
        spread = x.var(0, unbiased=False).add(1e-8).sqrt().mean()
        x = torch.cat([x, spread.expand(len(x), 1, 4, 4)], 1)
        x = leaky_relu(self.last(x), 0.2) * GAIN
        x = self.features(leaky_relu(self.flat(x.flatten(1)), 0.2) * GAIN)
        return (x * _unit(self.classes(label))).sum(1) / math.sqrt(x.shape[1])


def _halved(x: Tensor) -> Tensor:
    return nn.functional.avg_pool2d(x, 2)


def _unit(x: Tensor) -> Tensor:
    """Scaled to a mean square of 1 over the last dimension."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-8)
