"""A distance between images that was fitted to human judgement."""

from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor, nn

from artschool.components.losses.features import feature_pairs
from artschool.components.losses.shapes import check_equal
from artschool.errors import CheckpointError, ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.ranges import input_of
from artschool.registry.signature import Network
from artschool.storage.tensors import read_content

EPSILON = 1e-8


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples", values=input_of("network", "fake", "real"))
class Lpips(nn.Module):
    """Learned perceptual distance: squared differences of unit feature vectors, with weights fitted to human judgement.

    `d = sum_l mean_hw sum_c w_lc (f_lc / |f_l| - g_lc / |g_l|)^2`, averaged over the batch, for maps f, g of layer l.

    Source: Zhang et al. 2018, arXiv:1801.03924, eq. 1.
    """

    def __init__(self, *, weights: Path | None = None) -> None:
        """Read the weights of the layers.

        Args:
            weights: Weights of the layers: a `.pth` file with `lin0.model.1.weight` (1, C, 1, 1) and so on, as the
                authors publish it. null: version 0.1 for VGG16, which is part of torchmetrics and needs a network
                `{type: vgg, depth: 16, layers: [relu1_2, relu2_2, relu3_3, relu4_3, relu5_3], weights: ...}`.

        Raises:
            CheckpointError: The file cannot be read, or lacks the weights of a layer.
        """
        super().__init__()
        file = weights or Path(str(files("torchmetrics.functional.image"))) / "lpips_models" / "vgg.pth"
        tensors = read_content(file)
        self._num_layers = len(tensors)
        for index in range(self._num_layers):
            name = f"lin{index}.model.1.weight"
            if name not in tensors:
                raise CheckpointError(f"{file}: missing {name!r}, the weights of a layer")
            # Not part of checkpoints, since the file has them.
            self.register_buffer(f"weights_{index}", tensors[name].flatten(), persistent=False)

    def forward(self, network: Network, fake: Tensor, real: Tensor) -> Tensor:
        """Distance of two batches of images.

        Args:
            network: Network that returns the feature maps of the layers, in the order of the weights.
            fake: (B, 3, H, W) in the value range of the network; 0..1 for `vgg`.
            real: The same shape; it gets no gradients.

        Raises:
            ConfigError: The shapes differ, or the maps do not match the weights.
        """
        check_equal("lpips", fake=fake, real=real)
        pairs = list(feature_pairs(network, fake, real).values())
        weights = [self.get_buffer(f"weights_{index}") for index in range(self._num_layers)]
        found, expected = [len(maps[0]) for maps, _ in pairs], [len(values) for values in weights]
        if found != expected:
            raise ConfigError(f"lpips: expected feature maps of {expected} channels, got {found}")
        distance = torch.stack(
            [
                ((_unit(fake_map) - _unit(real_map)).square() * w[:, None, None]).sum(1).mean()
                for (fake_map, real_map), w in zip(pairs, weights, strict=True)
            ]
        )
        return distance.sum()


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(1, keepdim=True) + EPSILON).sqrt()
