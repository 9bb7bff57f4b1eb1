"""A distance between images that was fitted to people's judgement."""

from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor, nn

from artschool.components.losses.features import feature_pairs
from artschool.errors import CheckpointError, ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Network
from artschool.storage.tensors import read_content

EPSILON = 1e-8


@losses.register(roles=ComponentRole.MINIMIZED)
class Lpips(nn.Module):
    """Learned perceptual distance: squared differences of unit feature vectors, under weights fitted to people.

    `d = sum_l mean_hw sum_c w_lc (f_lc / |f_l| - g_lc / |g_l|)^2`, averaged over the batch, for maps f, g of layer l.

    Source: Zhang et al. 2018, arXiv:1801.03924, eq. 1.
    """

    def __init__(self, *, weights: Path | None = None) -> None:
        """Read the weights of the layers.

        Args:
            weights: A `.pth` file with `lin0.model.1.weight` (1, C, 1, 1) and so on, as the authors publish it. Without
                one, those of version 0.1 for VGG16, which torchmetrics brings: they need a network `{type: vgg, depth:
                16, layers: [relu1_2, relu2_2, relu3_3, relu4_3, relu5_3], weights: ...}`.

        Raises:
            CheckpointError: The file cannot be read, or holds something else.
        """
        super().__init__()
        file = weights or Path(str(files("torchmetrics.functional.image"))) / "lpips_models" / "vgg.pth"
        tensors = read_content(file)
        self._num_layers = len(tensors)
        for index in range(self._num_layers):
            name = f"lin{index}.model.1.weight"
            if name not in tensors:
                raise CheckpointError(f"{file} has no {name!r}, the weights of a layer")
            # Not in checkpoints: the file has them.
            self.register_buffer(f"weights_{index}", tensors[name].flatten(), persistent=False)

    def forward(self, network: Network, fake: Tensor, real: Tensor) -> Tensor:
        """Distance of two batches of images.

        Args:
            network: Returns the maps that the weights are for, in their order.
            fake: (B, 3, H, W) in the range that the network takes; 0..1 for `vgg`.
            real: The same shape; it gets no gradients.

        Raises:
            ConfigError: The maps are others.
        """
        pairs = list(feature_pairs(network, fake, real).values())
        weights = [self.get_buffer(f"weights_{index}") for index in range(self._num_layers)]
        found, known = [len(one[0]) for one, _ in pairs], [len(values) for values in weights]
        if found != known:
            raise ConfigError(f"the network returns maps of {found} channels, but the weights are for {known}")
        distance = torch.stack(
            [
                ((_unit(one) - _unit(other)).square() * w[:, None, None]).sum(1).mean()
                for (one, other), w in zip(pairs, weights, strict=True)
            ]
        )
        return distance.sum()


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(1, keepdim=True) + EPSILON).sqrt()
