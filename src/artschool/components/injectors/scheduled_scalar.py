"""A number that depends on the iteration."""

import math
from typing import Literal

import torch
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.context import Context
from artschool.registry.units import Interval, Iterations


@injectors.register
def scheduled_scalar(
    *,
    kind: Literal["linear", "cosine"] = "linear",
    initial: float,
    final: float,
    iterations: Interval,
    start: Iterations = 0,
    context: Context,
) -> Tensor:
    """Compute a number from the iteration.

    With t = max(iteration - start, 0) / iterations, the number is

    - linear: `initial + (final - initial) * min(t, 1)`, which stays at `final` at the end;
    - cosine: `final + (initial - final) * (1 + cos(2 pi t)) / 2`, which oscillates between the two.

    Args:
        kind: Curve of the number: `linear` from `initial` to `final`, or `cosine`, which oscillates
            between the two.
        initial: Value up to iteration `start`.
        final: Value at the end (linear), or the opposite extreme (cosine).
        iterations: Number of iterations from `initial` to `final` (linear), or of one full period (cosine).
        start: Iteration at which the number begins to change.
        context: Gives the iteration.

    Returns:
        A scalar tensor, such as the `scale` of a later `add_noise`.
    """
    t = max(context.iteration - start, 0) / iterations
    progress = min(t, 1.0) if kind == "linear" else (1 - math.cos(2 * math.pi * t)) / 2
    return torch.full((), initial + (final - initial) * progress, device=context.device)
