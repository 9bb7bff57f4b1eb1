"""Sequences of a length that a network can take."""

import torch.nn.functional as F
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import Count


@injectors.register
def pad(x: Tensor, *, multiple: Count, value: float = 0.0) -> Tensor:
    """Pad the last dimension at its end up to a multiple of a length.

    Args:
        x: (..., T).
        multiple: What the new length is a multiple of.
        value: What to pad with.

    Returns:
        (..., T') with the smallest multiple T' >= T; x itself where T is a multiple already.
    """
    missing = -x.shape[-1] % multiple
    return F.pad(x, (0, missing), value=value) if missing else x
