"""A critic that classifies patches."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from artschool.registry import ComponentRole, networks
from artschool.registry.signature import Count

MAX_WIDENING = 8


@networks.register(roles=ComponentRole.STARTS_RANDOM)
class PatchCritic(nn.Module):
    """Strided convolutions to a map of logits, each of which sees a patch of the image: PatchGAN's discriminator.

    Source: Isola et al. 2017, arXiv:1611.07004, section 3.2.2 and appendix 6.1.2.

    Args:
        in_channels: Number of channels of the input; 3 for colour, more if a condition is concatenated with it.
        width: Number of channels after the first convolution. It doubles with each layer, up to 8 times this number.
        layers: Number of convolutions of stride 2.
        norm: Normalization between layers. `group`: group norm, which has no batch statistics, so that real and fake
            batches do not mix. `spectral`: spectral norm of the weights (Miyato et al. 2018, arXiv:1802.05957).
            `none`: no normalization.
    """

    def __init__(
        self,
        *,
        in_channels: Count = 3,
        width: Count = 64,
        layers: Count = 3,
        norm: Literal["group", "none", "spectral"] = "group",
    ) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        channels = in_channels
        for index in range(layers):
            out = width * min(2**index, MAX_WIDENING)
            modules.append(_conv(channels, out, 2, norm))
            if norm == "group" and index > 0:
                modules.append(nn.GroupNorm(min(8, out), out))
            modules.append(nn.LeakyReLU(0.2))
            channels = out
        modules.append(_conv(channels, 1, 1, norm))
        self.layers = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to logits (B, 1, H', W') with H' about H / 2**layers - 1."""
        logits: Tensor = self.layers(x)
        return logits

    def features(self, x: Tensor) -> list[Tensor]:
        """Outputs of the layers after their activation, (B, C, H', W') with decreasing H' and W'."""
        found = []
        for module in list(self.layers)[:-1]:
            x = module(x)
            if isinstance(module, nn.LeakyReLU):
                found.append(x)
        return found


def _conv(in_channels: int, out_channels: int, stride: int, norm: str) -> nn.Module:
    conv = nn.Conv2d(in_channels, out_channels, 4, stride, 1)
    return nn.utils.parametrizations.spectral_norm(conv) if norm == "spectral" else conv
