"""How different two images look to a network that knows what images show."""

import torch
from torch import Tensor

from artschool.components.losses.criteria import CRITERIA, Criterion
from artschool.components.losses.features import LayerWeights, feature_pairs, weights_of
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Network


@losses.register(roles=ComponentRole.MINIMIZED)
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
        network: Returns one feature map, a list of them, or a mapping from the names of layers; `vgg`, for example.
        fake: (B, C, H, W) in the range that the network takes.
        real: The same shape; it gets no gradients.
        real_network: Makes the maps of `real`, if another network does.
        layer_weights: The layers that count, and how much; all by 1 if not given. Layers of a list are "0", "1", ...
        criterion: The distance; l2 is that of the paper.

    Raises:
        ConfigError: There is no such layer, or the two networks return different ones.

    Source: Johnson et al. 2016, arXiv:1603.08155, eq. 2.
    """
    pairs = feature_pairs(network, fake, real, real_network=real_network)
    weights = weights_of([*pairs], layer_weights)
    terms = [CRITERIA[criterion](*pairs[name]) * weight for name, weight in weights.items()]
    return torch.stack(terms).sum()
