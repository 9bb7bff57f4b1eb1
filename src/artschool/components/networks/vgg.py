"""VGG, an image classifier whose feature maps serve as a measure of image content."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from artschool.errors import ConfigError
from artschool.registry import ComponentRole, networks
from artschool.wording.names import allowed

CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Number of convolutions in each block, by the number of layers with weights."""
CHANNELS = (64, 128, 256, 512, 512)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels in 0..1, for red, green and blue."""


@networks.register(roles=ComponentRole.STARTS_RANDOM, values={"in": (0.0, 1.0)})
class Vgg(nn.Module):
    """Feature maps of VGG, which `perceptual`, `style` and `lpips` compare.

    Parameters have torchvision's names, so `weights: vgg19-dcbb9e9d.pth` loads torchvision's file. Layers after the
    last chosen one are not built. Without weights, the features are random.

    Source: Simonyan and Zisserman 2014, arXiv:1409.1556, table 1, D and E.

    Args:
        depth: Number of layers with weights, 16 or 19.
        layers: Names of the layers whose feature maps are returned. `conv3_4`: after the fourth convolution of the
            third block; `relu3_4`: after its ReLU; `pool3`: after the pooling of the block.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        *,
        depth: Literal[16, 19] = 19,
        layers: Annotated[list[str], Field(min_length=1)] = ["conv5_4"],  # noqa: B006  # only read
    ) -> None:
        super().__init__()
        built = _layers(depth)
        for name in layers:
            if name not in built:
                raise ValueError(f"unknown layer {name!r} of VGG{depth}. {allowed('Available layers', name, built)}")
        names = list(built)
        needed = max(names.index(name) + 1 for name in layers)
        self.features = nn.Sequential(*[make() for make in list(built.values())[:needed]])
        self._returned = {names.index(name): name for name in layers}
        later = [f"features.{index}.*" for index in range(needed, len(names))]
        self.unused_weights = ("classifier.*", "mean", "std", *later)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) in 0..1 to the feature maps (B, C, H', W') of the chosen layers, by name.

        Raises:
            ConfigError: The images do not have 3 channels. Subtracting the mean would broadcast a single one.
        """
        if x.dim() != 4 or x.shape[1] != 3:
            raise ConfigError(f"vgg: expected images (B, 3, H, W), got shape {tuple(x.shape)}")
        x = (x - self.mean) / self.deviation
        maps = {}
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._returned:
                maps[self._returned[index]] = x
        return maps


def _layers(depth: int) -> dict[str, Callable[[], nn.Module]]:
    """The constructor of each layer, by name, in order."""
    layers: dict[str, Callable[[], nn.Module]] = {}
    channels = 3
    for block, (count, width) in enumerate(zip(CONVOLUTIONS[depth], CHANNELS, strict=True), 1):
        for index in range(1, count + 1):
            layers[f"conv{block}_{index}"] = partial(nn.Conv2d, channels, width, 3, padding=1)
            layers[f"relu{block}_{index}"] = nn.ReLU
            channels = width
        layers[f"pool{block}"] = partial(nn.MaxPool2d, 2)
    return layers
