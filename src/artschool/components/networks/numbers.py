"""Trained numbers, such as the weights of losses."""

import torch
from torch import Tensor, nn

from artschool.errors import ConfigError
from artschool.registry import networks
from artschool.registry.signature import Count, Positive


@networks.register("numbers")
class Numbers(nn.Module):
    """Numbers that a step trains, such as the weights of losses or the logarithms of their variances.

    Call it without inputs, `in: []`. The result has one scalar for each number.
    """

    def __init__(self, *, count: Count, initial: float = 0.0, sum: Positive | None = None) -> None:
        """Create the numbers.

        Args:
            count: Number of numbers.
            initial: Initial value of each.
            sum: Sum to which the numbers are scaled after each update. null: they stay as they are.

        Raises:
            ConfigError: `sum` is given, and the initial sum is not positive.
        """
        super().__init__()
        if sum is not None and initial <= 0:
            raise ConfigError(f"initial: expected a number above 0 to scale to a sum, got {initial:g}")
        self._sum = sum
        self.values = nn.Parameter(torch.full((count,), float(initial)))

    def forward(self) -> tuple[Tensor, ...]:
        """The numbers, one scalar each."""
        return self.values.unbind()

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Scale the numbers to their sum."""
        if self._sum is not None:
            self.values.mul_(self._sum / self.values.sum())
