"""How evenly a codebook is used."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from artschool import ranks
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, metrics
from artschool.registry.signature import Count


class _CodeCounts:
    """How often each code came, over all batches and processes.

    Args:
        num_codes: How many codes there are, whether they come or not.

    Raises:
        ConfigError: A code is no whole number, or not in 0..num_codes-1.
    """

    def __init__(self, *, num_codes: Count) -> None:
        self._num_codes = num_codes
        self.reset()

    def update(self, codes: Tensor) -> None:
        """Add a batch.

        Args:
            codes: Whole numbers in 0..num_codes-1, of any shape.
        """
        if codes.is_floating_point():
            raise ConfigError(f"codes are whole numbers, found {str(codes.dtype).removeprefix('torch.')}")
        counts = torch.bincount(codes.flatten(), minlength=self._num_codes).cpu()
        if len(counts) > self._num_codes:
            raise ConfigError(f"num_codes is {self._num_codes}, but there is a code {len(counts) - 1}")
        self._counts += counts

    def reset(self) -> None:
        """Forget all codes."""
        self._counts = torch.zeros(self._num_codes, dtype=torch.int64)

    def total(self) -> list[int]:
        """The counts of all processes."""
        return torch.stack(ranks.gather(self._counts)).sum(0).tolist()


@metrics.register(roles=ComponentRole.HIGHER_IS_BETTER)
class CodebookPerplexity(_CodeCounts):
    """`exp(-sum p log p)` with p the share of each code: 1 if one code is used, num_codes if all are equally."""

    def compute(self) -> float:
        """The perplexity over everything seen by all processes."""
        counts = self.total()
        shares = [count / sum(counts) for count in counts if count]
        return math.exp(-sum(share * math.log(share) for share in shares))


@metrics.register(roles=ComponentRole.HIGHER_IS_BETTER)
class CodebookUsage(_CodeCounts):
    """The share of codes that came at least once, in 0..1."""

    def compute(self) -> float:
        """The share over everything seen by all processes."""
        counts = self.total()
        return sum(count > 0 for count in counts) / len(counts)
