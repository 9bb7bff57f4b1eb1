"""Rows that are kept for later iterations: the newest replace the oldest."""

import torch
from torch import Tensor

from artschool.errors import ConfigError


def push(kept: Tensor, count: Tensor, rows: Tensor) -> None:
    """Write rows over the oldest ones of a ring. Does not wait for the device.

    Args:
        kept: (K, ...), changed in place.
        count: Number of rows written so far, a scalar of whole numbers.
        rows: (N, ...), of which the last K are written.

    Raises:
        ConfigError: The shapes of rows differ.
    """
    if rows.shape[1:] != kept.shape[1:]:
        raise ConfigError(f"expected rows of shape {tuple(kept.shape[1:])}, got {tuple(rows.shape[1:])}")
    passed = max(0, len(rows) - len(kept))
    places = (count + torch.arange(passed, len(rows), device=rows.device)) % len(kept)
    kept.index_copy_(0, places, rows[passed:].to(kept.dtype))
