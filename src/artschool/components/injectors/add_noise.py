"""Random noise added to a value."""

from typing import Literal

import torch
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import Scheduled


@injectors.register
def add_noise(x: Tensor, *, scale: Scheduled | Tensor = 1.0, kind: Literal["normal", "uniform"] = "normal") -> Tensor:
    """Add random noise: `x + scale * noise`.

    Args:
        x: Any shape, floating point.
        scale: Standard deviation of normal noise, or upper bound of uniform noise from 0, in units of x. A number, or
            the key of a tensor that broadcasts against x.
        kind: Distribution of the noise: `normal` or `uniform`.

    Returns:
        Same shape, dtype and device as x.
    """
    noise = torch.randn_like(x) if kind == "normal" else torch.rand_like(x)
    if isinstance(scale, Tensor):
        scale = scale.to(x.dtype)
    return x + scale * noise
