"""A batch, cut into micro-batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from artschool import ranks
from artschool.data.collate import micro_batches
from artschool.data.to_device import to_device
from artschool.steps.state import State


class MicroBatches:
    """The micro-batches of a batch, as states. Every step runs on each of them.

    Iterating yields each state with its share: its samples divided by `total`, the weight of its loss. A micro-batch
    moves to the device when the first step reaches it.

    Args:
        batch: The part of the batch that this process has.
        count: Maximum number of micro-batches.
        total: Number of samples in the whole batch, over all processes.
        channels_last: Whether images get this memory format.

    Attributes:
        limit: Maximum number of micro-batches of this process. The same on every process, so that losses that
            communicate between processes do not deadlock.
    """

    def __init__(
        self, batch: Mapping[str, Any], count: int, total: int, device: torch.device, *, channels_last: bool = False
    ) -> None:
        self._batch = batch
        self._total = total
        self._device = device
        self._channels_last = channels_last
        self._states: list[tuple[State, float]] = []
        self.limit = 1 if count == 1 else min(count, max(1, total // ranks.world_size()))

    def __iter__(self) -> Iterator[tuple[State, float]]:
        return iter(self._states or self._moved())

    def _moved(self) -> Iterable[tuple[State, float]]:
        for index, (values, size) in enumerate(micro_batches(self._batch, self.limit)):
            moved = to_device(values, self._device, channels_last=self._channels_last)
            pair = (State(moved, "data.train", index), size / self._total)
            self._states.append(pair)
            yield pair

    @property
    def first(self) -> State:
        """The state of the first micro-batch."""
        # Create all states: a partial list would be taken for the complete one.
        return (self._states or list(self))[0][0]
