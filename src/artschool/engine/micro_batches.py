"""A batch, cut into micro-batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from artschool import ranks
from artschool.data.collate import micro_batches, to_device
from artschool.steps.state import State


@dataclass
class MicroBatches:
    """The micro-batches of a batch, as states. Every step runs on each of them.

    Iterating yields each state with its share: its samples divided by `total`, the weight of its loss. A micro-batch
    moves to the device when the first step reaches it.

    Attributes:
        batch: The part of the batch that this process has.
        count: Maximum number of micro-batches.
        total: Number of samples in the whole batch, over all processes.
    """

    batch: Mapping[str, Any]
    count: int
    total: int
    device: torch.device
    _states: list[tuple[State, float]] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[State, float]]:
        if self._states:
            yield from self._states
            return
        for index, (values, size) in enumerate(micro_batches(self.batch, self.limit)):
            pair = (State(to_device(values, self.device), "data.train", index), size / self.total)
            self._states.append(pair)
            yield pair

    @property
    def limit(self) -> int:
        """Maximum number of micro-batches of this process.

        The same on every process, so that losses that communicate between processes do not deadlock.
        """
        return min(self.count, max(1, self.total // ranks.world_size()))

    @property
    def first(self) -> State:
        """The state of the first micro-batch."""
        # Create all states: a partial list would be taken for the complete one.
        return (self._states or list(self))[0][0]
