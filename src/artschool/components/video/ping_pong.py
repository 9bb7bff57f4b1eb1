"""Agreement of a sequence that is generated forward and backward."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def ping_pong(fake: Tensor, *, criterion: Literal["l1", "l2"] = "l1") -> Tensor:
    """Distance between frames generated on the way forward and those generated from the same inputs on the way back.

    `sum over t of the mean distance of fake_t and fake_{2T-2-t}`. A generator cannot let details drift or accumulate:
    on a sequence that is its own mirror image, it has to end where it began.

    Args:
        fake: (B, 2 T - 1, ...), from `recurrent_generate` with `ping_pong: true`.
        criterion: Distance: `l1` (mean absolute difference) or `l2` (mean squared difference).

    Raises:
        ConfigError: The number of frames is even or 1.

    Source: Chu et al. 2020, arXiv:1811.09393, section 3.2, there with the Euclidean distance.
    """
    count = fake.shape[1]
    if count % 2 == 0 or count < 3:
        raise ConfigError(
            f"ping_pong: expected an odd number of frames, 3 or more, got {count}. "
            "Fix: set `ping_pong: true` in `recurrent_generate`"
        )
    half = count // 2
    forward, back = at_least_float32(fake[:, :half]), at_least_float32(torch.flip(fake[:, half + 1 :], (1,)))
    # Pairs of frames have equal sizes, so this is the sum over pairs of their mean distances.
    return half * (F.l1_loss(forward, back) if criterion == "l1" else F.mse_loss(forward, back))
