"""Colour images turned grey."""

from torch import Tensor

from artschool.registry import injectors
from artschool.registry.ranges import same_as


@injectors.register(values=same_as("x"))
def grey(x: Tensor) -> Tensor:
    """Replace every channel by the mean over channels.

    Args:
        x: (B, C, ...).

    Returns:
        (B, C, ...) with C equal channels, for networks that expect C channels.
    """
    return x.mean(dim=1, keepdim=True).expand_as(x).contiguous()
