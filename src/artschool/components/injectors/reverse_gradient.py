"""A value whose gradient is reversed."""

from __future__ import annotations

from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import Scheduled


@injectors.register
def reverse_gradient(x: Tensor, *, factor: Scheduled | Tensor = 1.0) -> Tensor:
    """Return a value unchanged, and multiply its gradient by `-factor`.

    What comes before it learns to make worse what comes after it, such as a classifier of domains.

    Args:
        x: Any shape.
        factor: Factor of the reversed gradient: a number, a schedule, or a key.

    Returns:
        The values of `x`.

    Source: Ganin and Lempitsky 2015, arXiv:1409.7495, section 3.
    """
    if not x.requires_grad:
        return x
    reversed_ = x.view_as(x)
    reversed_.register_hook(lambda gradient: gradient * -factor)  # type: ignore[no-untyped-call]  # torch
    return reversed_
