"""An autoencoder whose latents are small images with values near standard normal numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from artschool import networks


@networks.register
class KlAutoencoder(nn.Module):
    """Residual blocks and strided convolutions down to a mean and a deviation of each latent, and the way back.

    Source: Rombach et al. 2022, arXiv:2112.10752, section 3.1, in small.

    Args:
        channels: Number of channels of the images.
        latent_channels: Number of channels of the latents.
        width: Number of channels at the full side; it doubles with each halving.
        halvings: How often height and width are halved.
    """

    def __init__(self, *, channels: int = 3, latent_channels: int = 4, width: int = 64, halvings: int = 2) -> None:
        super().__init__()
        down: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1)]
        up: list[nn.Module] = [nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1)]
        for _ in range(halvings):
            down += [_Residual(width), nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)]
            up = [_Doubled(2 * width, width), _Residual(width), *up]
            width *= 2
        self.encoder = nn.Sequential(*down, _Residual(width), nn.Conv2d(width, 2 * latent_channels, 1))
        self.decoder = nn.Sequential(nn.Conv2d(latent_channels, width, 1), _Residual(width), *up)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) in -1..1 to the restored ones, and the divergence of each sample (B,)."""
        mean, log_variance = self.encoder(x).chunk(2, 1)
        log_variance = log_variance.clamp(-20, 10)
        latent = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        return self.decode(latent), divergence.flatten(1).mean(1)

    def encode(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the means of the latents (B, latent_channels, h, w)."""
        mean: Tensor = self.encoder(x).chunk(2, 1)[0]
        return mean

    def decode(self, latent: Tensor) -> Tensor:
        """(B, latent_channels, h, w) to (B, C, H, W)."""
        images: Tensor = self.decoder(latent)
        return images


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.GroupNorm(8, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.inner(x)
        return x + change


class _Doubled(nn.Sequential):
    def __init__(self, before: int, after: int) -> None:
        super().__init__(nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1))
