"""The critic of SRGAN and ESRGAN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from artschool.errors import ConfigError
from artschool.registry import ComponentRole, networks
from artschool.registry.signature import Count

Norm = Literal["batch", "group", "none", "spectral"]
MAX_WIDENING = 8


@networks.register(roles=ComponentRole.STARTS_RANDOM)
class VggCritic(nn.Module):
    """Stages that halve the image, then two linear layers to one logit for the whole image.

    A stage is a 3 x 3 convolution and a 4 x 4 convolution of stride 2, each with a norm and a leaky ReLU. The first
    convolution of the network has no norm. With norm `batch`, parameters have the names of BasicSR, whose ESRGAN
    critics fit; with `group`, those of DL-Art-School.

    Source: Ledig et al. 2017, arXiv:1609.04802, figure 4; Wang et al. 2018, arXiv:1809.00219, section 3.1, with
        BasicSR's kernels.

    Args:
        image_size: Side of the square images in pixels, a multiple of 2**stages.
        in_channels: Number of channels of the images; 3 for colour, more if a condition is concatenated with them.
        width: Number of channels of the first stage. It doubles with each stage, up to 8 times this number.
        stages: Number of stages, each of which halves the image.
        norm: Normalization after convolutions. `group`: group norm, which has no batch statistics, so that real and
            fake batches do not mix. `batch`: batch norm, as in the paper. `spectral`: spectral norm of the weights
            (Miyato et al. 2018, arXiv:1802.05957). `none`: no normalization.
        hidden: Number of features between the two linear layers.

    Raises:
        ConfigError: image_size is not a multiple of 2**stages.
    """

    def __init__(
        self,
        *,
        image_size: Count = 128,
        in_channels: Count = 3,
        width: Count = 64,
        stages: Count = 5,
        norm: Norm = "group",
        hidden: Count = 100,
    ) -> None:
        super().__init__()
        if image_size % 2**stages:
            raise ConfigError(
                f"vgg_critic: image_size must be a multiple of {2**stages} for {stages} stages, got {image_size}"
            )
        self._image_size, self._stages = image_size, stages
        channels = in_channels
        for stage in range(stages):
            out = width * min(2**stage, MAX_WIDENING)
            for index, (kernel, stride) in enumerate([(3, 1), (4, 2)]):
                first = stage == index == 0
                bias = first or norm in ("none", "spectral")
                conv = nn.Conv2d(channels, out, kernel, stride, 1, bias=bias)
                self.add_module(f"conv{stage}_{index}", _spectral(conv, norm))
                self.add_module(f"bn{stage}_{index}", nn.Identity() if first else _norm(norm, out))
                channels = out
        side = image_size // 2**stages
        self.linear1 = _spectral(nn.Linear(channels * side * side, hidden), norm)
        self.linear2 = _spectral(nn.Linear(hidden, 1), norm)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, image_size, image_size) to logits (B, 1)."""
        *_, last = self._activations(x)
        logits: Tensor = self.linear2(F.leaky_relu(self.linear1(last.flatten(1)), 0.2))
        return logits

    def features(self, x: Tensor) -> list[Tensor]:
        """Outputs of the stages, starting with (B, C, H / 2, W / 2)."""
        return list(self._activations(x))

    def _activations(self, x: Tensor) -> Iterator[Tensor]:
        if x.shape[-2:] != (self._image_size, self._image_size):
            raise ConfigError(f"vgg_critic: images must match image_size {self._image_size}, got {tuple(x.shape[-2:])}")
        for stage in range(self._stages):
            for index in range(2):
                conv, norm = (self.get_submodule(f"{kind}{stage}_{index}") for kind in ("conv", "bn"))
                x = F.leaky_relu(norm(conv(x)), 0.2)
            yield x


def _spectral(layer: nn.Module, norm: Norm) -> nn.Module:
    return nn.utils.parametrizations.spectral_norm(layer) if norm == "spectral" else layer


def _norm(norm: Norm, channels: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(min(8, channels), channels) if norm == "group" else nn.Identity()
