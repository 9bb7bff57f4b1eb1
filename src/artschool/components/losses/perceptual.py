"""Distance between images in the features of a network, such as a classifier."""

import torch
from torch import Tensor

from artschool.components.losses.criteria import CRITERIA, Criterion
from artschool.components.losses.features import LayerWeights, feature_pairs, weights_of
from artschool.components.losses.shapes import check_equal
from artschool.registry import ComponentRole, losses
from artschool.registry.ranges import input_of
from artschool.registry.signature import Network


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples", values=input_of("network", "fake", "real"))
def perceptual(
    network: Network,
    fake: Tensor,
    real: Tensor,
    *,
    real_network: Network | None = None,
    layer_weights: LayerWeights | None = None,
    criterion: Criterion = "l1",
) -> Tensor:
    """Sum over layers of the distance between feature maps of fake and real.

    Args:
        network: Network that returns one feature map, a list of them, or a mapping from the names of layers, such as
            `vgg`.
        fake: (B, C, H, W) in the value range of the network.
        real: The same shape; it gets no gradients.
        real_network: Network that computes the maps of `real`. null: `network`.
        layer_weights: Weights of the layers to compare, by name. Layers of a list are "0", "1", ... null: all layers,
            with weight 1.
        criterion: Distance: `l1` (mean absolute difference), `l2` (mean squared difference, as in the paper) or
            `cosine` (1 - cosine similarity).

    Raises:
        ConfigError: The shapes differ without a `real_network`, a layer does not exist, or the two networks return
            different layers.

    Source: Johnson et al. 2016, arXiv:1603.08155, eq. 2.
    """
    if real_network is None:
        check_equal("perceptual", fake=fake, real=real)
    pairs = feature_pairs(network, fake, real, real_network=real_network)
    weights = weights_of([*pairs], layer_weights)
    terms = [CRITERIA[criterion](*pairs[name]) * weight for name, weight in weights.items()]
    return torch.stack(terms).sum()
