"""Counts updates that were skipped because of non-finite gradients, without waiting for the device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from artschool.data.to_device import to_device


class Skips(NamedTuple):
    """Numbers of skipped updates.

    Attributes:
        total: Since the run began.
        consecutive: In a row, up to the last update.
    """

    total: int
    consecutive: int


MOST_FLAGS = 256
"""Maximum number of flags that are kept before they are counted on the device."""


def zeros(device: torch.device) -> Iterator[Tensor]:
    """New flags of value 0. Many share one allocation, which takes longer than everything else that they are for."""
    while True:
        yield from torch.zeros(MOST_FLAGS, device=device).unbind()


_NEVER = 2**62
"""The iteration of a skip if there was none."""


class SkipCounter:
    """Collects flags on the device, in constant memory, and counts them when the counts are read."""

    def __init__(self) -> None:
        self._counted = Skips(0, 0)
        self._on_device: Tensor | None = None
        self._first = _NEVER
        self._unread: list[Tensor] = []
        self._iterations: list[int] = []

    def add(self, found_inf: Tensor, iteration: int = 0) -> None:
        """Add the flag of an update: a scalar on the device, 1.0 if it was skipped and 0.0 if not."""
        self._unread.append(found_inf)
        self._iterations.append(iteration)
        if len(self._unread) == MOST_FLAGS:
            self._count()

    def read(self) -> Skips:
        """The counts so far; waits for the device."""
        if self._on_device is not None:
            *counts, self._first = self._on_device.tolist()
            self._counted, self._on_device = Skips(*counts), None
        flags = torch.stack(self._unread).tolist() if self._unread else []
        for is_skipped, iteration in zip(flags, self._iterations, strict=True):
            total, consecutive = self._counted
            self._counted = Skips(total + 1, consecutive + 1) if is_skipped else Skips(total, 0)
            self._first = min(self._first, iteration) if is_skipped else self._first
        self._forget()
        return self._counted

    def take_first(self) -> int | None:
        """The first iteration that was skipped since the last call. None: none was. Waits for the device."""
        self.read()
        first, self._first = self._first, _NEVER
        return None if first == _NEVER else first

    def restore(self, skips: Skips) -> None:
        """Continue from earlier counts."""
        self._counted, self._on_device, self._first = skips, None, _NEVER
        self._forget()

    def _count(self) -> None:
        total, consecutive, first = (*self._counted, self._first) if self._on_device is None else self._on_device
        flags = torch.stack(self._unread).long()
        # The number, from 1, of the last update that was not skipped; 0 if all were.
        last = ((1 - flags) * torch.arange(1, len(flags) + 1, device=flags.device)).amax()
        iterations = to_device({"": torch.tensor(self._iterations)}, flags.device)[""]
        first = torch.where(flags > 0, iterations, _NEVER).amin().clamp(max=first)
        self._on_device = torch.stack([total + flags.sum(), len(flags) - last + consecutive * (last == 0), first])
        self._forget()

    def _forget(self) -> None:
        self._unread.clear()
        self._iterations.clear()
