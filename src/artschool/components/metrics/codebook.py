"""Use of the codes of a codebook."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from artschool import ranks
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, metrics
from artschool.registry.ranges import Known, Ranges, WholeNumbers
from artschool.registry.signature import Count


def _in_codebook(known: Known) -> Ranges:
    return {"codes": WholeNumbers(0, known.options["num_codes"] - 1)}


class _CodeCounts:
    """Number of uses of each code, over all batches and processes.

    Args:
        num_codes: Number of codes in the codebook, used or not.

    Raises:
        ConfigError: A code is not a whole number in 0..num_codes-1.
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
            raise ConfigError(f"codes must be whole numbers, got {str(codes.dtype).removeprefix('torch.')}")
        counts = torch.bincount(codes.flatten(), minlength=self._num_codes).cpu()
        if len(counts) > self._num_codes:
            raise ConfigError(f"codes must be below num_codes, {self._num_codes}, got {len(counts) - 1}")
        self._counts += counts

    def reset(self) -> None:
        """Forget all codes."""
        self._counts = torch.zeros(self._num_codes, dtype=torch.int64)

    def total(self) -> list[int]:
        """The counts of all processes."""
        return torch.stack(ranks.gather(self._counts)).sum(0).tolist()


@metrics.register(roles=ComponentRole.HIGHER_IS_BETTER, values=_in_codebook)
class CodebookPerplexity(_CodeCounts):
    """`exp(-sum p log p)` with p the fraction of each code: 1 if one code is used, num_codes for uniform use."""

    def compute(self) -> float:
        """The perplexity over all samples of all processes."""
        counts = self.total()
        fractions = [count / sum(counts) for count in counts if count]
        return math.exp(-sum(fraction * math.log(fraction) for fraction in fractions))


@metrics.register(roles=ComponentRole.HIGHER_IS_BETTER, values=_in_codebook)
class CodebookUsage(_CodeCounts):
    """Fraction of codes that are used at least once, in 0..1."""

    def compute(self) -> float:
        """The fraction over all samples of all processes."""
        counts = self.total()
        return sum(count > 0 for count in counts) / len(counts)
