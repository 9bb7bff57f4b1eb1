"""The distances that the option `criterion` of several losses names."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from artschool.components.losses.cosine import cosine
from artschool.components.losses.pixel import l1, l2

Criterion = Literal["l1", "l2", "cosine"]

CRITERIA: dict[Criterion, Callable[[Tensor, Tensor], Tensor]] = {"l1": l1, "l2": l2, "cosine": cosine}
"""Each takes two tensors of one shape, and returns a scalar."""
