"""How likely a normalising flow finds its data."""

import math
from typing import Annotated

from pydantic import Field
from torch import Tensor

from artschool.components.losses.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, metrics

Levels = Annotated[int, Field(ge=2)]


@metrics.register(roles=ComponentRole.LOWER_IS_BETTER)
def flow_nll(z: Tensor, log_det: Tensor, *, levels: Levels | None = None) -> Tensor:
    """Negative log-likelihood of each sample under a flow to a standard normal, in bits per dimension.

    `(sum z^2 / 2 + D log(2 pi) / 2 - log_det) / (D log 2)`, with D the numbers of a sample.

    Args:
        z: (B, ...), what the flow makes of the data x; D is that of x, for it loses nothing.
        log_det: (B,), the logarithm of the absolute determinant of dz / dx.
        levels: Where x is data of so many whole levels that noise made continuous and scaling brought to a range of
            1, such as (pixel + uniform noise) / 256 with 256: adds log2(levels), so that it counts bits of pixels.

    Returns:
        (B,), lower is better.

    Raises:
        ConfigError: log_det is not one number for each sample.

    Source: Dinh et al. 2017, arXiv:1605.08803, eq. 3 and section 4.1; Theis et al. 2016, arXiv:1511.01844, section 3.1.
    """
    if log_det.shape != z.shape[:1]:
        raise ConfigError(f"flow_nll of z {tuple(z.shape)} takes log_det ({len(z)},), not {tuple(log_det.shape)}")
    z = at_least_float32(z).flatten(1)
    nats = 0.5 * z.square().sum(1) + 0.5 * z.shape[1] * math.log(2 * math.pi) - at_least_float32(log_det)
    bits = nats / (z.shape[1] * math.log(2))
    return bits if levels is None else bits + math.log2(levels)
