"""The precision that losses are computed in."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Widen whole numbers and half precision to float32; float32 and float64 stay as they are.

    A mean over many values of a bfloat16 or float16 tensor would lose most of its digits.
    """
    if x.dtype == torch.float32:
        return x
    return x.to(torch.promote_types(x.dtype, torch.float32))


def outside_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which operations keep the precision of their inputs, also within autocast."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
