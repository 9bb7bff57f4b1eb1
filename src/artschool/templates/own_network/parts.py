"""A network and a loss. `train.yml` names this file under `plugins:`, and what it registers under `type:`.

A class is registered in snake case, `Denoiser` as `denoiser`. Arguments of `__init__` are options of the file, with
types and defaults; `artschool components --plugin parts.py networks denoiser` prints them. Data sets, injectors,
metrics and schedules are registered in the same way.
"""

from __future__ import annotations

from torch import Tensor, nn

from artschool import losses, networks


@networks.register
class Denoiser(nn.Module):
    """Convolutions that predict the noise of an image, which is subtracted.

    Source: Zhang et al. 2017, arXiv:1608.03981, without batch norms.

    Args:
        channels: Number of channels of the images.
        width: Number of channels between the convolutions.
        layers: Number of convolutions, 2 or more.
    """

    def __init__(self, *, channels: int = 3, width: int = 64, layers: int = 8) -> None:
        super().__init__()
        modules: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        for _ in range(layers - 2):
            modules += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*modules, nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Noisy images (B, C, H, W) to restored ones."""
        noise: Tensor = self.layers(x)
        return x - noise


@losses.register
def edge_distance(fake: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference of the steps from each pixel to its right and lower neighbors.

    Tensors are keys of the file, which `in:` lists in this order. Further arguments would be options.

    Args:
        fake: (B, C, H, W).
        real: The same shape.
    """
    difference = (fake - real).float()
    return difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
