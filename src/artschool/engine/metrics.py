"""What accumulates the values of a metric over batches and processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from artschool import ranks
from artschool.data.collate import size_of
from artschool.steps.call import describe_value


class Accumulator(Protocol):
    """A metric that accumulates over batches, with the interface of torchmetrics."""

    def compute(self) -> Any:
        """The value over all samples of all processes."""

    def reset(self) -> None:
        """Drop everything accumulated."""


class MeanOverSamples:
    """Makes a metric of a function that returns one value for each sample, (B,), or the mean of the batch, a scalar.

    Sums and counts are accumulated and divided once. A smaller last batch and processes with fewer samples are
    therefore weighted correctly.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function
        self.reset()

    def update(self, **values: Any) -> None:
        """Add a batch."""
        result = self._function(**values)
        if not isinstance(result, Tensor):
            expected = "expected a tensor with one value for each sample, (B,), or a scalar tensor"
            raise TypeError(f"{expected}, got {describe_value(result)}")
        result = result.double()
        count = size_of(values)
        self._sum += float(result.sum()) if result.dim() else float(result) * count
        self._count += result.numel() if result.dim() else count

    def compute(self) -> float:
        """The mean over all samples of all processes."""
        parts = ranks.gather((self._sum, self._count))
        count = sum(part[1] for part in parts)
        return sum(part[0] for part in parts) / count if count else float("nan")

    def reset(self) -> None:
        """Drop all samples."""
        self._sum, self._count = 0.0, 0
