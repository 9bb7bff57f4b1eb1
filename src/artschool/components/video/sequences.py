"""Functions of images, applied to sequences."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def on_frames(function: Callable[..., Tensor], *sequences: Tensor) -> Tensor:
    """Call a function of image batches once, on all frames of sequences.

    Args:
        function: Takes one (B, C, H, W) for each sequence; a flow network, or `warp`.
        sequences: (B, T, C, H, W) of equal B and T.

    Returns:
        (B, T, ...), the result of the function.
    """
    result = function(*(sequence.flatten(0, 1) for sequence in sequences))
    return result.reshape(*sequences[0].shape[:2], *result.shape[1:])
