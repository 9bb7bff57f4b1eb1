"""Sequences padded to a length that a network can process."""

import torch.nn.functional as F
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import Count


@injectors.register
def pad(x: Tensor, *, multiple: Count, value: float = 0.0) -> Tensor:
    """Pad the end of the last dimension to a multiple of a length.

    Args:
        x: (..., T).
        multiple: Number of which the new length is a multiple.
        value: Value of the padding.

    Returns:
        (..., T') with the smallest multiple T' >= T. x itself if T is a multiple already.
    """
    missing = -x.shape[-1] % multiple
    return F.pad(x, (0, missing), value=value) if missing else x
