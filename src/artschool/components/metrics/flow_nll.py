"""Likelihood of data under a normalizing flow."""

import math
from typing import Annotated

from pydantic import Field
from torch import Tensor

from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, metrics

Levels = Annotated[int, Field(ge=2)]


@metrics.register(roles=ComponentRole.LOWER_IS_BETTER)
def flow_nll(z: Tensor, log_det: Tensor, *, levels: Levels | None = None) -> Tensor:
    """Negative log-likelihood of each sample under a flow to a standard normal, in bits per dimension.

    `(sum z^2 / 2 + D log(2 pi) / 2 - log_det) / (D log 2)`, with D the number of elements of a sample.

    Args:
        z: (B, ...), output of the flow for the data x, with the same number D of elements.
        log_det: (B,), the logarithm of the absolute determinant of dz / dx.
        levels: Number of discrete levels of the data, if x is dequantized by noise and scaled to a range of 1: 256 for
            (pixel + uniform noise) / 256. Adds log2(levels), so that the result is in bits of the original levels.
            null: adds nothing.

    Returns:
        (B,), lower is better.

    Raises:
        ConfigError: log_det does not have one number for each sample.

    Source: Dinh et al. 2017, arXiv:1605.08803, eq. 3 and section 4.1; Theis et al. 2016, arXiv:1511.01844, section 3.1.
    """
    if log_det.shape != z.shape[:1]:
        raise ConfigError(f"flow_nll: expected log_det of shape ({len(z)},), got {tuple(log_det.shape)}")
    z = at_least_float32(z).flatten(1)
    nats = 0.5 * z.square().sum(1) + 0.5 * z.shape[1] * math.log(2 * math.pi) - at_least_float32(log_det)
    bits = nats / (z.shape[1] * math.log(2))
    return bits if levels is None else bits + math.log2(levels)
