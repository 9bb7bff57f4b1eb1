"""A batch in parts."""

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
    """The parts of a batch, as states that every step goes through; each moves to the device when it is first needed.

    Attributes:
        total: Samples of the whole batch over all processes; each part weighs by its share of them.
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
        # As many on every process, so that what losses exchange with `ranks` meets.
        count = min(self.count, max(1, self.total // ranks.world_size()))
        for index, (values, size) in enumerate(micro_batches(self.batch, count)):
            pair = (State(to_device(values, self.device), "data.train", index), size / self.total)
            self._states.append(pair)
            yield pair

    @property
    def first(self) -> State:
        """The first part."""
        # All of them: whoever goes through the parts afterwards would find the first alone.
        return (self._states or list(self))[0][0]
