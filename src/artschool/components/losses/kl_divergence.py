"""Divergence of an encoder's distribution from the prior."""

from torch import Tensor

from artschool.components.losses.shapes import pair
from artschool.registry import ComponentRole, losses


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of a normal distribution with independent dimensions from the standard normal one, in nats.

    `-1/2 sum (1 + log_variance - mean^2 - exp(log_variance))`, summed over a sample and averaged over the batch. It
    regularizes a variational autoencoder. For a reconstruction loss that averages over a sample instead of summing,
    reduce the weight of this loss.

    Args:
        mean: (B, ...).
        log_variance: The same shape, the natural logarithm of the variance.

    Raises:
        ConfigError: The shapes differ.

    Source: Kingma and Welling 2014, arXiv:1312.6114, appendix B.
    """
    mean, log_variance = pair("kl_divergence", mean, log_variance)
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum() / len(mean)
