"""Counts updates that were skipped because of non-finite gradients, without waiting for the device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Skips(NamedTuple):
    """Numbers of skipped updates.

    Attributes:
        total: Since the run began.
        consecutive: In a row, up to the last update.
    """

    total: int
    consecutive: int


class SkipCounter:
    """Collects flags on the device and counts them when the counts are read."""

    def __init__(self) -> None:
        self._counted = Skips(0, 0)
        self._unread: list[Tensor] = []

    def add(self, found_inf: Tensor) -> None:
        """Add the flag of an update: a scalar on the device, 1.0 if it was skipped and 0.0 if not."""
        self._unread.append(found_inf)

    def read(self) -> Skips:
        """The counts so far; waits for the device."""
        total, consecutive = self._counted
        for skipped in torch.stack(self._unread).tolist() if self._unread else ():
            total += int(skipped)
            consecutive = consecutive + 1 if skipped else 0
        self._unread.clear()
        self._counted = Skips(total, consecutive)
        return self._counted

    def restore(self, skips: Skips) -> None:
        """Continue from earlier counts."""
        self._counted = skips
        self._unread.clear()
