"""The precision of losses."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Widen whole numbers and half precision to float32; float32 and float64 stay as they are.

    A mean over many values of a bfloat16 or float16 tensor would lose most of its digits.
    """
    if x.dtype == torch.float32:
        return x
    return x.to(torch.promote_types(x.dtype, torch.float32))


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """A context in which matrix products and convolutions on x's device keep the precision of their inputs.

    Autocast would run them in half precision.
    """
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
