"""Which sizes a function of tensors accepts, and how large its results are: found by calling it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from artschool.errors import DataError

Function = Callable[[Tensor], Tensor]
"""A batch (B, C, ...) to a batch (B, C', ...), such as images or sound of any size."""
MOST_DENOMINATOR = 8
"""The factor of sizes is a fraction with at most this denominator or numerator. Other sizes are a coincidence."""


@dataclass(frozen=True)
class Sizes:
    """How sizes of inputs and results are related, in each of the spatial dimensions.

    Attributes:
        factor: Size of the result in units of that of the input.
        multiple: Inputs have a multiple of this size.
        size: Size of the example. Equal to `multiple`: no other size is accepted.
        channels: Number of channels of the result.
    """

    factor: tuple[Fraction, ...]
    multiple: tuple[int, ...]
    size: tuple[int, ...]
    channels: int = 1

    @property
    def is_fixed(self) -> bool:
        """Whether inputs of the size of the example are the only ones."""
        return self.multiple == self.size

    def fitting(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """The least size that is accepted and in which an input of this size fits."""
        return tuple(-(-length // multiple) * multiple for length, multiple in zip(size, self.multiple, strict=True))

    def of_result(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """The size of the result for an input of this size, rounded up."""
        return tuple(-int(-length * factor // 1) for length, factor in zip(size, self.factor, strict=True))


def find_sizes(function: Function, shape: tuple[int, ...]) -> Sizes | None:
    """Call a function with zeros of some sizes.

    Args:
        shape: Shape of an example that the function accepts, (C, ...), without the dimension of the batch.

    Returns:
        None: the sizes of the result are not those of the input times a factor, as in a classifier.
    """
    result = function(torch.zeros(1, *shape))
    size, dims = tuple(shape[1:]), len(shape) - 1
    if result.dim() != dims + 2:
        return None
    factor = tuple(Fraction(new, old) for new, old in zip(result.shape[2:], size, strict=True))
    if any(min(each.numerator, each.denominator) > MOST_DENOMINATOR for each in factor):
        return None
    fixed = Sizes(factor, size, size, result.shape[1])
    common, accepts_others = math.gcd(*size), False
    # The example has a multiple of the size that is looked for.
    for step in (step for step in range(1, common + 1) if common % step == 0):
        tried = tuple(length + step for length in size)
        found = _result_size(function, (shape[0], *tried))
        if found == tuple(length * each for length, each in zip(tried, factor, strict=True)):
            return replace(fixed, multiple=(step,) * dims)
        accepts_others |= found is not None
    return None if accepts_others else fixed


def _result_size(function: Function, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The size of the result for an input of this shape. None: the function does not accept it."""
    try:
        return tuple(function(torch.zeros(1, *shape)).shape[2:])
    except (RuntimeError, ValueError, TypeError, AssertionError, IndexError, DataError):
        return None
