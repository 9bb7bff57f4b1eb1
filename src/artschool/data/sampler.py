"""Which samples make an iteration's batch: a function of seed, iteration and rank alone; no history is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch

from artschool.data.seeds import derive
from artschool.errors import DataError


class Position(NamedTuple):
    """A sample of an epoch; its augmentation draws from a generator seeded by these and the run's seed."""

    epoch: int
    sample: int


class Batches:
    """The batches of a data set, epoch after epoch.

    Args:
        length: Samples in the data set.
        batch_size: Samples of one batch over all processes.
        drop_last: Whether an epoch's samples that fill no batch are left out of it.

    Raises:
        DataError: There is no sample, too few for one batch, or a batch that leaves a process without samples.
    """

    def __init__(
        self,
        name: str,
        length: int,
        batch_size: int,
        *,
        seed: int,
        shuffle: bool,
        drop_last: bool,
        world_size: int = 1,
    ) -> None:
        if length == 0:
            raise DataError(f"{name} is empty: its length is 0")
        if length < batch_size and drop_last:
            raise DataError(
                f"{name} has {length} samples, fewer than one batch of {batch_size}; "
                "take a smaller batch_size, or `drop_last: false`"
            )
        tail = batch_size if drop_last else length % batch_size or batch_size
        if min(batch_size, tail, length) < world_size:
            raise DataError(
                f"{name}: a batch of {min(batch_size, tail, length)} leaves some of {world_size} processes without "
                "samples; batch_size counts all processes together"
            )
        self.length = length
        self.batch_size = batch_size
        self.per_epoch = length // batch_size if drop_last else -(-length // batch_size)
        self._seed = derive(seed, "order", name)
        self._shuffle = shuffle
        self._order: tuple[int, list[int]] = (-1, [])

    def epoch(self, iteration: int) -> int:
        """The epoch that an iteration belongs to, from 0."""
        return iteration // self.per_epoch

    def whole(self, iteration: int) -> list[Position]:
        """The batch of an iteration over all processes."""
        epoch, batch = divmod(iteration, self.per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, self._draw_order(epoch))
        indices = self._order[1][batch * self.batch_size : (batch + 1) * self.batch_size]
        return [Position(epoch, index) for index in indices]

    def size(self, iteration: int) -> int:
        """How many samples the batch of an iteration has over all processes."""
        return min(self.batch_size, self.length - iteration % self.per_epoch * self.batch_size)

    def samples_before(self, iteration: int) -> int:
        """How many samples the batches before an iteration have, over all processes."""
        epochs, rest = divmod(iteration, self.per_epoch)
        whole = self.per_epoch * self.batch_size
        return epochs * min(whole, self.length) + rest * self.batch_size

    def _draw_order(self, epoch: int) -> list[int]:
        if not self._shuffle:
            return list(range(self.length))
        generator = torch.Generator().manual_seed(derive(self._seed, epoch))
        return [int(index) for index in torch.randperm(self.length, generator=generator).tolist()]


@dataclass(frozen=True)
class RankSampler:
    """One process's part of the batches from one iteration to another, for a `DataLoader`."""

    batches: Batches
    start: int
    stop: int
    rank: int = 0
    world_size: int = 1

    def __iter__(self) -> Iterator[list[Position]]:
        for iteration in range(self.start, self.stop):
            whole = self.batches.whole(iteration)
            start, stop = (part * len(whole) // self.world_size for part in (self.rank, self.rank + 1))
            yield whole[start:stop]


@dataclass(frozen=True)
class SharedEpoch:
    """One epoch whose whole batches are dealt to the processes in turn, for evaluation."""

    batches: Batches
    rank: int = 0
    world_size: int = 1

    def __iter__(self) -> Iterator[list[Position]]:
        for batch in range(self.rank, self.batches.per_epoch, self.world_size):
            yield self.batches.whole(batch)
