"""Embeddings of two views that agree and keep their variance, without negatives."""

import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.shapes import pair
from artschool.components.precision import without_autocast
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Context, NotNegative

EPSILON = 1e-4


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="batch")
def vicreg(
    x: Tensor,
    y: Tensor,
    *,
    invariance: NotNegative = 25.0,
    variance: NotNegative = 25.0,
    covariance: NotNegative = 1.0,
    context: Context,
) -> Tensor:
    """`invariance s + variance (v(x) + v(y)) / 2 + covariance (c(x) + c(y))`.

    s is the mean squared difference of partners. v is the mean over the features of `max(0, 1 - sqrt(var + 1e-4))`.
    c is the sum of the squared covariances of different features, divided by the number of features. The three terms
    are logged without their factors. s is a mean over features and v a mean over x and y, as in the authors' code, to
    which the default factors belong; the paper has sums.

    Args:
        x: (B, C) embeddings of one view, B at least 2. Statistics are over the micro-batch of this process.
        y: (B, C) embeddings of the other view; row i is the partner of row i of x.
        invariance: Factor of s, the mean squared difference of partners.
        variance: Factor of v, the mean amount by which standard deviations of features are below 1.
        covariance: Factor of c, the squared covariances of different features.
        context: Records the logged values.

    Raises:
        ConfigError: The shapes differ, or the batch has a single sample, which has no variance.

    Source: Bardes et al. 2022, arXiv:2105.04906, eq. 1 to 6.
    """
    x, y = pair("vicreg", x, y)
    if len(x) < 2:
        raise ConfigError("vicreg: a batch of one sample has no variance. Fix: increase `batch_size`")
    terms = {
        "invariance": F.mse_loss(x, y),
        "variance": (_variance_term(x) + _variance_term(y)) / 2,
        "covariance": _covariance_term(x) + _covariance_term(y),
    }
    for name, value in terms.items():
        context.log(name, value.detach())
    return invariance * terms["invariance"] + variance * terms["variance"] + covariance * terms["covariance"]


def _variance_term(x: Tensor) -> Tensor:
    return F.relu(1 - (x.var(0) + EPSILON).sqrt()).mean()


def _covariance_term(x: Tensor) -> Tensor:
    centered = x - x.mean(0)
    with without_autocast(x):
        covariances = centered.mT @ centered / (len(x) - 1)
    return (covariances.square().sum() - covariances.diagonal().square().sum()) / x.shape[1]
