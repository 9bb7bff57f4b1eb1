"""A generator that draws images from noise, and its critic, for images of 8 to 256 pixels."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool.components.networks.equalized import EqualizedConv, EqualizedLinear, ModulatedConv, activate
from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, networks
from artschool.registry.signature import Count

START = 4
"""Side of the first feature maps of the generator, and of the last ones of the critic."""
MAPPING_RATE = 0.01
EPSILON = 1e-8


Side = Literal[8, 16, 32, 64, 128, 256, 512, 1024]


@networks.register(roles=ComponentRole.STARTS_RANDOM)
class Stylegan2(nn.Module):
    """Draw images from latents, and from classes if it has some: StyleGAN2 with skip connections.

    A mapping of linear layers turns a latent into a style. From a constant of 4 x 4, each resolution doubles the last
    one and applies two convolutions, whose input channels the style scales (`equalized.ModulatedConv`). Each resolution
    adds its image to the enlarged image of the last one. Noise for each pixel decides details: in train mode it is
    drawn at each call, in eval mode it is the same for all images, so that a latent alone determines its image.

    Unlike there, images are enlarged bilinearly, and all layers of an image have one style (no style mixing).

    Source: Karras et al. 2020, arXiv:1912.04958, figures 2 and 7; classes: Karras et al. 2020, arXiv:2006.06676.

    Args:
        size: Side of the images in pixels.
        channels: Number of channels of the images.
        latent: Number D of elements of a latent, and of a style.
        width: Number of channels at the last resolution. It doubles with each lower resolution.
        max_width: Maximum number of channels at a resolution.
        mapping: Number of linear layers from latent to style. They learn at a hundredth of the learning rate.
        num_classes: Number of classes of the condition `label`. null: no condition.
    """

    def __init__(
        self,
        *,
        size: Side = 64,
        channels: Count = 3,
        latent: Count = 128,
        width: Count = 32,
        max_width: Count = 256,
        mapping: Count = 4,
        num_classes: Count | None = None,
    ) -> None:
        super().__init__()
        self.embed_class = None if num_classes is None else nn.Embedding(num_classes, latent)
        first = latent if num_classes is None else 2 * latent
        self.mapping = nn.ModuleList(
            EqualizedLinear(latent if index else first, latent, rate=MAPPING_RATE) for index in range(mapping)
        )
        sides = _sides(size)
        widths = [min(width * size // side, max_width) for side in sides]
        self.constant = nn.Parameter(torch.randn(1, widths[0], START, START))
        self.blocks = nn.ModuleList(
            _Block(before, after, side, latent, channels)
            for before, after, side in zip([widths[0], *widths], widths, sides, strict=False)
        )

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Draw images.

        Args:
            z: (B, latent), standard normal.
            label: (B,), classes in 0..num_classes-1.

        Returns:
            (B, channels, size, size), about in -1..1.

        Raises:
            ConfigError: The label is missing or unexpected.
        """
        return self.draw(self.styles(z, label))

    def styles(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents (B, D), and classes (B,) if it has some, to styles (B, D)."""
        _check_label("stylegan2", self.embed_class, label)
        x = _unit(z)
        if self.embed_class is not None and label is not None:
            x = torch.cat([x, _unit(self.embed_class(label.long()))], 1)
        for layer in self.mapping:
            x = activate(layer(x))
        return x

    def draw(self, styles: Tensor) -> Tensor:
        """Styles (B, D) to images (B, channels, size, size). The input and output of the loss `path_length`."""
        x = self.constant.expand(styles.shape[0], -1, -1, -1)
        image: Tensor | None = None
        for block in self.blocks:
            x, image = block(x, image, styles)
        assert image is not None
        return image


class _Block(nn.Module):
    """One resolution of the generator."""

    def __init__(self, in_channels: int, out_channels: int, side: int, latent: int, channels: int) -> None:
        super().__init__()
        self.grows = side > START
        self.layers = nn.ModuleList(
            _Layer(in_channels if index == 0 else out_channels, out_channels, side, latent)
            for index in range(2 if self.grows else 1)
        )
        self.to_image = ModulatedConv(out_channels, channels, 1, latent, demodulate=False)

    def forward(self, x: Tensor, image: Tensor | None, styles: Tensor) -> tuple[Tensor, Tensor]:
        """(B, in, h, w), the image so far and (B, D) to (B, out, H, W) and the image (B, channels, H, W)."""
        x = _doubled(x) if self.grows else x
        for layer in self.layers:
            x = layer(x, styles)
        details: Tensor = self.to_image(x, styles)
        return x, details if image is None else _doubled(image) + details


class _Layer(nn.Module):
    """A modulated convolution, noise and an activation."""

    noise: Tensor

    def __init__(self, in_channels: int, out_channels: int, side: int, latent: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(in_channels, out_channels, 3, latent)
        self.strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise", torch.randn(1, 1, side, side))

    def forward(self, x: Tensor, styles: Tensor) -> Tensor:
        """(B, in, H, W) and (B, D) to (B, out, H, W)."""
        x = self.conv(x, styles)
        noise = torch.randn_like(x[:, :1]) if self.training else self.noise
        return activate(x + self.strength * noise)


@networks.register(roles=ComponentRole.STARTS_RANDOM)
class Stylegan2Critic(nn.Module):
    """Judge whether images are real, and whether they have the class that they should have.

    Residual blocks down to 4 x 4, then the deviation of the features within the (micro-)batch as a further channel, so
    that a generator cannot draw a single image, a convolution and two linear layers. With classes, the logit is the
    product of the features with a vector of the class.

    Unlike there, images are reduced by the mean of 2 x 2 pixels.

    Source: Karras et al. 2020, arXiv:1912.04958, figure 7; deviation: Karras et al. 2018, arXiv:1710.10196, section 3;
    classes: Miyato and Koyama 2018, arXiv:1802.05637.

    Args:
        size: Side of the images in pixels.
        channels: Number of channels of the images.
        width: Number of channels at the first resolution. It doubles with each lower resolution.
        max_width: Maximum number of channels at a resolution.
        num_classes: Number of classes of the condition `label`. null: no condition.
    """

    def __init__(
        self,
        *,
        size: Side = 64,
        channels: Count = 3,
        width: Count = 32,
        max_width: Count = 256,
        num_classes: Count | None = None,
    ) -> None:
        super().__init__()
        widths = [min(width * size // side, max_width) for side in reversed(_sides(size))]
        last = widths[-1]
        self.first = EqualizedConv(channels, widths[0], 1)
        self.blocks = nn.ModuleList(map(_Halving, widths, widths[1:]))
        self.last = EqualizedConv(last + 1, last, 3)
        self.flat = EqualizedLinear(last * START**2, last)
        self.logits = EqualizedLinear(last, 1 if num_classes is None else last)
        self.embed_class = None if num_classes is None else nn.Embedding(num_classes, last)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Judge images.

        Args:
            x: (B, channels, size, size).
            label: (B,), classes in 0..num_classes-1.

        Returns:
            Logits (B,), large for images that look real.

        Raises:
            ConfigError: The label is missing or unexpected.
        """
        _check_label("stylegan2_critic", self.embed_class, label)
        x = activate(self.first(x))
        for block in self.blocks:
            x = block(x)
        deviation = (at_least_float32(x).var(0, unbiased=False) + EPSILON).sqrt().mean().to(x.dtype)
        x = torch.cat([x, deviation.expand(x.shape[0], 1, START, START)], 1)
        x = self.logits(activate(self.flat(activate(self.last(x)).flatten(1))))
        if self.embed_class is None or label is None:
            return x[:, 0]
        return (x * _unit(self.embed_class(label.long()))).sum(1) / math.sqrt(x.shape[1])


class _Halving(nn.Module):
    """A residual block that halves height and width."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.inner = EqualizedConv(in_channels, in_channels, 3)
        self.outer = EqualizedConv(in_channels, out_channels, 3)
        self.skip = EqualizedConv(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H / 2, W / 2)."""
        deep = F.avg_pool2d(activate(self.outer(activate(self.inner(x)))), 2)
        # Two parts of one variance: the sum has it again.
        result: Tensor = (deep + self.skip(F.avg_pool2d(x, 2))) / math.sqrt(2)
        return result


def _sides(size: int) -> list[int]:
    return [2**power for power in range(START.bit_length() - 1, size.bit_length())]


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear")


def _unit(x: Tensor) -> Tensor:
    """Scale (B, D) to a mean square of 1 over D."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + EPSILON)


def _check_label(owner: str, embedding: nn.Module | None, label: Tensor | None) -> None:
    if (embedding is None) != (label is None):
        raise ConfigError(
            f"{owner}: the option `num_classes` and the input `label` belong together. Fix: give both or none"
        )
