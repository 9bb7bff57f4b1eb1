"""Each of two views of a sample predicts the other."""

import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.shapes import pair
from artschool.registry import ComponentRole, losses


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def byol(prediction1: Tensor, prediction2: Tensor, target1: Tensor, target2: Tensor) -> Tensor:
    """Distance of each view's prediction from the other view's target: `4 - 2 cos(p1, t2) - 2 cos(p2, t1)`.

    Squared distance of vectors of length one, summed over both directions, mean over samples. Targets get no gradient.

    Args:
        prediction1: (B, D), prediction from the projection of the first view.
        prediction2: (B, D), prediction from the projection of the second view.
        target1: (B, D), projection of the first view by the target network, a moving average.
        target2: (B, D), projection of the second view by the target network.

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
