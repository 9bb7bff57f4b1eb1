"""A number that follows the iteration."""

import math
from typing import Literal

import torch
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.context import Context
from artschool.registry.signature import Count, Natural


@injectors.register
def scheduled_scalar(
    *,
    kind: Literal["linear", "cosine"] = "linear",
    initial: float,
    final: float,
    iterations: Count,
    start: Natural = 0,
    context: Context,
) -> Tensor:
    """Let a number follow the iteration.

    With t = max(iteration - start, 0) / iterations it is, by kind,

    - linear: `initial + (final - initial) * min(t, 1)`, so it goes there once and stays;
    - cosine: `final + (initial - final) * (1 + cos(2 pi t)) / 2`, so it swings between the two without end.

    Args:
        kind: How the number moves: `linear`, there once; `cosine`, there and back without end.
        initial: The number until `start`.
        final: Where the number ends (linear), or its other extreme (cosine).
        iterations: How long the way takes (linear), or one swing there and back (cosine).
        start: The iteration at which the number begins to move.
        context: Gives the iteration.

    Returns:
        A scalar tensor, such as the `scale` of a later `add_noise`.
    """
    t = max(context.iteration - start, 0) / iterations
    way = min(t, 1.0) if kind == "linear" else (1 - math.cos(2 * math.pi * t)) / 2
    return torch.full((), initial + (final - initial) * way, device=context.device)
