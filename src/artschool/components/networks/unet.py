"""The U-Net of diffusion models."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool.errors import ConfigError
from artschool.registry import ComponentRole, networks
from artschool.registry.signature import Count, Fraction, Natural

LONGEST_PERIOD = 10000
GROUPS = 32


@networks.register(roles=ComponentRole.STARTS_RANDOM)
class Unet(nn.Module):
    """Predict a tensor in the shape of a noised image, given its noise level.

    Residual blocks at several scales with skip connections. Time and class scale and shift the normalized features.

    Source: Ho et al. 2020, arXiv:2006.11239, appendix B; scale and shift: Nichol and Dhariwal 2021, arXiv:2102.09672,
    section 3; Dhariwal and Nichol 2021, arXiv:2105.05233, section 3; image condition: Saharia et al. 2021,
    arXiv:2104.07636.

    Args:
        in_channels: Number of channels of the noised image.
        out_channels: Number of channels of the prediction; twice `in_channels` if a variance is learned. null:
            `in_channels`.
        width: Number of channels of the first scale.
        multipliers: Numbers of channels of the scales, as multiples of `width`. Each scale has half the height and
            width of the previous one.
        blocks: Number of residual blocks of each scale.
        attention: Scales with self-attention, as reductions of height and width, such as `[2, 4]`.
        head_channels: Number of channels of each attention head. Scales whose channels are not a multiple of it have
            one head.
        dropout: Probability of dropout in each block, in 0..1.
        num_classes: Number of classes of the condition `label`. Labels are in 0..num_classes-1; the label num_classes
            means no class. null: no condition on a class.
        image_channels: Number of channels of the condition `image`, which is concatenated with the noised image. 0: no
            condition on an image.
        time_scale: Factor of the times: 1 for timesteps up to about 1000, 1000 for times in 0..1.
    """

    def __init__(
        self,
        *,
        in_channels: Count = 3,
        out_channels: Count | None = None,
        width: Count = 64,
        multipliers: list[Count] = [1, 2, 4],  # noqa: B006  # never written to
        blocks: Count = 2,
        attention: list[Count] = [4],  # noqa: B006  # never written to
        head_channels: Count = 32,
        dropout: Fraction = 0.0,
        num_classes: Count | None = None,
        image_channels: Natural = 0,
        time_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self._width, self._time_scale, self._image_channels = width, time_scale, image_channels
        self._reduction = 2 ** (len(multipliers) - 1)
        embedding = 4 * width
        self.embed_time = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.embed_class = None if num_classes is None else nn.Embedding(num_classes + 1, embedding)
        self.first = nn.Conv2d(in_channels + image_channels, width, 3, padding=1)

        def level(before: int, after: int, reduction: int) -> nn.ModuleList:
            block = ResidualBlock(before, after, embedding, dropout)
            return nn.ModuleList([block, Attention(after, head_channels)] if reduction in attention else [block])

        channels, skips = width, [width]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for index, multiplier in enumerate(multipliers):
            for _ in range(blocks):
                self.down.append(level(channels, width * multiplier, 2**index))
                channels = width * multiplier
                skips.append(channels)
            if index < len(multipliers) - 1:
                self.down.append(nn.ModuleList([nn.Conv2d(channels, channels, 3, stride=2, padding=1)]))
                skips.append(channels)
        middle = level(channels, channels, self._reduction)
        self.middle = middle.append(ResidualBlock(channels, channels, embedding, dropout))
        for index, multiplier in reversed([*enumerate(multipliers)]):
            for number in range(blocks + 1):
                parts = level(channels + skips.pop(), width * multiplier, 2**index)
                channels = width * multiplier
                if index > 0 and number == blocks:
                    conv = nn.Conv2d(channels, channels, 3, padding=1)
                    parts.append(nn.Sequential(nn.Upsample(scale_factor=2), conv))
                self.up.append(parts)
        last = nn.Conv2d(channels, in_channels if out_channels is None else out_channels, 3, padding=1)
        self.last = nn.Sequential(_norm(channels), nn.SiLU(), _zeroed(last))

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, image: Tensor | None = None) -> Tensor:
        """Predict from a noised image.

        Args:
            x: (B, in_channels, H, W); H and W are divisible by 2 for each scale after the first.
            t: (B,), timesteps or other times.
            label: (B,), the classes.
            image: (B, image_channels, h, w), resized to H and W bilinearly.

        Returns:
            (B, out_channels, H, W).

        Raises:
            ConfigError: A condition is missing or unexpected, or H or W is not divisible.
        """
        self._check(x, label, image)
        embedding = self.embed_time(sinusoids(t * self._time_scale, self._width).to(x.dtype))
        if self.embed_class is not None and label is not None:
            embedding = embedding + self.embed_class(label.long())
        if image is not None:
            size = (x.shape[2], x.shape[3])
            image = image if image.shape[2:] == size else F.interpolate(image, size, mode="bilinear")
            x = torch.cat([x, image.to(x.dtype)], 1)
        x = self.first(x)
        skips = [x]
        for parts in self.down:
            x = _through(parts, x, embedding)
            skips.append(x)
        x = _through(self.middle, x, embedding)
        for parts in self.up:
            x = _through(parts, torch.cat([x, skips.pop()], 1), embedding)
        result: Tensor = self.last(x)
        return result

    def _check(self, x: Tensor, label: Tensor | None, image: Tensor | None) -> None:
        if (self.embed_class is None) != (label is None):
            raise ConfigError(
                "unet: the option `num_classes` and the input `label` belong together. Fix: give both or none"
            )
        if (self._image_channels == 0) != (image is None):
            raise ConfigError(
                "unet: the option `image_channels` and the input `image` belong together. Fix: give both or none"
            )
        if x.shape[2] % self._reduction or x.shape[3] % self._reduction:
            sizes = f"{x.shape[2]} x {x.shape[3]}"
            raise ConfigError(
                f"unet: height and width must be multiples of {self._reduction}, got {sizes}. "
                "Fix: use fewer multipliers, or pad the images"
            )


class ResidualBlock(nn.Module):
    """Norm, activation and convolution, twice. In between, the embedding of time and class scales and shifts."""

    def __init__(self, in_channels: int, out_channels: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            _norm(in_channels), nn.SiLU(), nn.Conv2d(in_channels, out_channels, 3, padding=1), _norm(out_channels)
        )
        self.embed = nn.Sequential(nn.SiLU(), nn.Linear(embedding, 2 * out_channels))
        last = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.outer = nn.Sequential(nn.SiLU(), nn.Dropout(dropout), _zeroed(last))
        self.skip = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, in, H, W) and (B, embedding) to (B, out, H, W)."""
        scale, shift = self.embed(embedding)[:, :, None, None].chunk(2, 1)
        result: Tensor = self.skip(x) + self.outer(self.inner(x) * (1 + scale) + shift)
        return result


class Attention(nn.Module):
    """Self-attention among the positions of an image, with a skip connection."""

    def __init__(self, channels: int, head_channels: int) -> None:
        super().__init__()
        self._heads = channels // head_channels if channels % head_channels == 0 else 1
        self.norm = _norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = _zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        q, k, v = self.qkv(self.norm(x)).unflatten(1, (3 * self._heads, -1)).flatten(3).transpose(2, 3).chunk(3, 1)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(x.shape)
        result: Tensor = x + self.out(attended)
        return result


def sinusoids(t: Tensor, width: int) -> Tensor:
    """Cosines and sines (B, width) of times (B,), in float32, with periods from 2 pi to 10000 times that.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    half = width // 2
    frequencies = torch.exp(-math.log(LONGEST_PERIOD) * torch.arange(half, device=t.device) / half)
    angles = t.float()[:, None] * frequencies
    return F.pad(torch.cat([angles.cos(), angles.sin()], 1), (0, width % 2))


def _through(parts: nn.Module, x: Tensor, embedding: Tensor) -> Tensor:
    for part in parts.children():
        x = part(x, embedding) if isinstance(part, ResidualBlock) else part(x)
    return x


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels)


def _zeroed(conv: nn.Conv2d) -> nn.Conv2d:
    """Initialize a convolution to zero, so that its block starts as the identity."""
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
