"""Losses weighed by trained uncertainties."""

import torch
from torch import Tensor

from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import losses
from artschool.registry.signature import Network, Positive


@losses.register(mean_over="samples")
def uncertainty(values: list[Tensor], *, log_variances: Network, factor: Positive | list[Positive] = 0.5) -> Tensor:
    """Weigh losses by trained uncertainties: the sum of `factor_i exp(-s_i) L_i + s_i / 2`.

    s is the logarithm of the variance of each task. The losses L keep weight 0 of their own, so that they count once.

    Args:
        values: Values of losses, the `out` of their entries.
        log_variances: Network of type `numbers` with a number for each loss. The step has to train it.
        factor: Factor of the losses, or a list with one for each: 0.5 for a squared error, 1 for a cross-entropy.

    Raises:
        ConfigError: The numbers of losses, log-variances and factors differ.

    Source: Kendall, Gal and Cipolla 2018, arXiv:1705.07115, eq. 7 and 10.
    """
    s = log_variances()
    factors = factor if isinstance(factor, list) else [factor] * len(values)
    if not len(values) == len(s) == len(factors):
        raise ConfigError(
            f"uncertainty: expected as many log-variances and factors as losses, got {len(values)} losses, {len(s)} "
            f"log-variances and {len(factors)} factors"
        )
    terms = [f * at_least_float32(L) * torch.exp(-s_i) + s_i / 2 for f, L, s_i in zip(factors, values, s, strict=True)]
    return torch.stack(terms).sum()
