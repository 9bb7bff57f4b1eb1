"""Distance between the textures of images."""

import torch
from torch import Tensor

from artschool.components.losses.features import LayerWeights, feature_pairs, weights_of
from artschool.components.losses.shapes import check_samples
from artschool.components.precision import without_autocast
from artschool.registry import ComponentRole, losses
from artschool.registry.ranges import input_of
from artschool.registry.signature import Network


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples", values=input_of("network", "fake", "real"))
def style(network: Network, fake: Tensor, real: Tensor, *, layer_weights: LayerWeights | None = None) -> Tensor:
    """Sum over layers of `|G(fake) - G(real)|^2`, where G measures which features occur together, at any position.

    `G_ij = sum_hw f_ihw f_jhw / (C H W)`; the squares are summed over i and j, and averaged over the batch. This is
    four times the loss of Gatys et al. (2015, arXiv:1508.06576, eq. 4).

    Args:
        network: Network that returns one feature map, a list of them, or a mapping from the names of layers, such as
            `vgg`.
        fake: (B, C, H, W) in the value range of the network.
        real: (B, C, H', W'); it gets no gradients.
        layer_weights: Weights of the layers to compare, by name. Layers of a list are "0", "1", ... null: all layers,
            with weight 1.

    Raises:
        ConfigError: The numbers of samples or channels differ, or a layer does not exist.

    Source: Johnson et al. 2016, arXiv:1603.08155, eq. 3 and 4.
    """
    check_samples("style", fake=fake, real=real)
    pairs = feature_pairs(network, fake, real)
    weights = weights_of([*pairs], layer_weights)
    terms = [
        (gram(pairs[name][0]) - gram(pairs[name][1])).square().sum((1, 2)).mean() * weight
        for name, weight in weights.items()
    ]
    return torch.stack(terms).sum()


def gram(features: Tensor) -> Tensor:
    """Products of features, averaged over positions and features: (B, C, ...) to (B, C, C)."""
    flat = features.flatten(2)
    with without_autocast(flat):
        return flat @ flat.mT / (flat.shape[1] * flat.shape[2])
