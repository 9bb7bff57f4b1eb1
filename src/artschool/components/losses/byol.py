"""Two views of a sample that predict each other."""

import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.pixel import pair
from artschool.registry import ComponentRole, losses


@losses.register(roles=ComponentRole.MINIMIZED)
def byol(prediction1: Tensor, prediction2: Tensor, target1: Tensor, target2: Tensor) -> Tensor:
    """Distance of each view's prediction from the other view's target: `4 - 2 cos(p1, t2) - 2 cos(p2, t1)`.

    It is the squared distance of vectors of length one, once for either direction, mean over samples. Targets get
    no gradient.

    Args:
        prediction1: (B, D), what the predictor makes of the first view's projection.
        prediction2: (B, D), what the predictor makes of the second view's projection.
        target1: (B, D), the first view's projection by the target network, a moving average.
        target2: (B, D), the second view's projection by the target network.

    Returns:
        A scalar in 0..8.

    Raises:
        ConfigError: A prediction and the target of the other view differ in shape.

    Source: Grill et al. 2020, arXiv:2006.07733, eq. 2 and the sentence after it.
    """
    first, second = _distance(prediction1, target2), _distance(prediction2, target1)
    return (first + second).mean()


def _distance(prediction: Tensor, target: Tensor) -> Tensor:
    return 2 - 2 * F.cosine_similarity(*pair("byol", prediction, target.detach()), dim=1)
