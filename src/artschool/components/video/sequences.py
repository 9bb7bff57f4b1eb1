"""Functions of images, on sequences of them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def on_frames(function: Callable[..., Tensor], *sequences: Tensor) -> Tensor:
    """Call a function of batches of images once, on all frames of sequences.

    Args:
        function: Takes as many (B, C, H, W) as there are sequences; a flow network, or `warp`.
        sequences: (B, T, C, H, W) of equal B and T.

    Returns:
        (B, T, ...) of what it returns.
    """
    result = function(*(sequence.flatten(0, 1) for sequence in sequences))
    return result.reshape(*sequences[0].shape[:2], *result.shape[1:])
