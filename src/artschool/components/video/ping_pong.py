"""A sequence and the way back over it should agree."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses


@losses.register(roles=ComponentRole.MINIMIZED)
def ping_pong(fake: Tensor, *, criterion: Literal["l1", "l2"] = "l1") -> Tensor:
    """What was made of a frame on the way forward is what was made of it on the way back.

    `sum over t of the mean distance of fake_t and fake_{2T-2-t}`, so that a generator cannot let details drift or pile
    up over a sequence: on a sequence that is its own mirror image it has to end where it began.

    Args:
        fake: (B, 2 T - 1, ...), as `recurrent_generate` makes it with `ping_pong`.
        criterion: Mean absolute or mean squared difference.

    Raises:
        ConfigError: The number of frames is even, or there is one alone.

    Source: Chu et al. 2020, arXiv:1811.09393, section 3.2, there with the Euclidean distance.
    """
    count = fake.shape[1]
    if count % 2 == 0 or count < 3:
        raise ConfigError(
            f"ping_pong compares the first and the second half of an odd number of frames, not of {count}; "
            "`recurrent_generate` makes them with `ping_pong: true`"
        )
    half = count // 2
    forth, back = at_least_float32(fake[:, :half]), at_least_float32(torch.flip(fake[:, half + 1 :], (1,)))
    # Pairs of frames have equal sizes, so this is the sum over pairs of the mean over each.
    return half * (F.l1_loss(forth, back) if criterion == "l1" else F.mse_loss(forth, back))
