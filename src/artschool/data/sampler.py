"""Chooses the samples of each batch from seed, iteration and rank. Samplers keep no history."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import torch
from torch import Tensor

from artschool.data.seeds import derive
from artschool.errors import DataError
from artschool.registry.units import batches_per_epoch


class Position(NamedTuple):
    """An epoch and the index of a sample. With the seed of the run, they seed the augmentation of the sample."""

    epoch: int
    sample: int


@dataclass(frozen=True)
class InChunks:
    """A shuffle that reads a data set chunk by chunk, so that what is stored together is read at about one time.

    Each epoch has a random order of the chunks, which is cut into windows of whole batches. Place j of a batch of n
    takes the samples of the j-th of n equal parts of the window, in a random order. A process takes successive places
    of each batch, whatever the number of processes, and so a part of the chunks of its own.

    Attributes:
        chunk: Number of successive samples of a chunk. The last one may have fewer.
        window: Number of samples that are mixed, at least. Rounded up to whole batches.
    """

    chunk: int
    window: int

    def order(self, length: int, batch_size: int, generator: torch.Generator) -> Tensor:
        """The samples of an epoch, (length,): those of the first batch, then those of the second one, and so on."""
        starts = torch.randperm(-(-length // self.chunk), generator=generator) * self.chunk
        indices = (starts[:, None] + torch.arange(self.chunk)).flatten()
        indices = indices[indices < length]
        whole, size = length // batch_size * batch_size, -(-self.window // batch_size) * batch_size
        windows = [indices[start : min(start + size, whole)] for start in range(0, whole, size)]
        return torch.cat([*(_mixed(window, batch_size, generator) for window in windows), indices[whole:]])


def _mixed(window: Tensor, batch_size: int, generator: torch.Generator) -> Tensor:
    places = window.view(batch_size, -1)
    keys = torch.rand(places.shape, dtype=torch.float64, generator=generator)
    return places.gather(1, keys.argsort(1)).t().flatten()


class Batches:
    """The batches of a data set in all epochs.

    Args:
        name: The path of the data set in the config file.
        length: Number of samples in the data set.
        batch_size: Number of samples in a batch, over all processes.
        seed: The seed of the run.
        shuffle: Whether each epoch has its own random order, or how it is drawn.
        drop_last: Whether to drop the last samples of an epoch if they do not fill a batch.
        world_size: Number of processes.

    Raises:
        DataError: The data set is empty or smaller than a batch, or a batch has fewer samples than processes.

    Attributes:
        per_epoch: Number of batches in an epoch.
    """

    def __init__(
        self,
        name: str,
        length: int,
        batch_size: int,
        *,
        seed: int,
        shuffle: bool | InChunks,
        drop_last: bool,
        world_size: int = 1,
    ) -> None:
        if length == 0:
            raise DataError(f"{name}: the data set is empty (its length is 0)")
        if length < batch_size and drop_last:
            raise DataError(
                f"{name}: {length} samples are fewer than one batch of {batch_size}. "
                "Fix: set a smaller `batch_size`, or `drop_last: false`"
            )
        tail = batch_size if drop_last else length % batch_size or batch_size
        if min(batch_size, tail, length) < world_size:
            raise DataError(
                f"{name}: a batch of {min(batch_size, tail, length)} samples is too small for {world_size} processes. "
                "Fix: set a larger `batch_size`; it is the total over all processes"
            )
        self.length = length
        self.batch_size = batch_size
        self._name = name
        self.per_epoch = batches_per_epoch(length, batch_size, drop_last=drop_last)
        self._seed = derive(seed, "order", name)
        self._shuffle = shuffle
        self._drop_last = drop_last
        self._order: tuple[int, Sequence[int]] = (-1, [])

    def resized(self, length: int, batch_size: int) -> Batches:
        """The batches of a data set of another length, or with another batch size."""
        other = copy.copy(self)
        other.length, other.batch_size, other._order = length, batch_size, (-1, [])
        other.per_epoch = batches_per_epoch(length, batch_size, drop_last=self._drop_last)
        return other

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
        """Number of samples in the batch of an iteration, over all processes."""
        return min(self.batch_size, self.length - iteration % self.per_epoch * self.batch_size)

    def samples_before(self, iteration: int) -> int:
        """Number of samples in all batches before an iteration, over all processes."""
        epochs, batches = divmod(iteration, self.per_epoch)
        samples = self.per_epoch * self.batch_size
        return epochs * min(samples, self.length) + batches * self.batch_size

    def _draw_order(self, epoch: int) -> Sequence[int]:
        """The samples of an epoch.

        Raises:
            DataError: There is no memory for their order.
        """
        if not self._shuffle:
            return range(self.length)
        try:
            return self._drawn(epoch)
        except (MemoryError, RuntimeError, OverflowError) as error:
            raise DataError(
                f"{self._name}: no memory for a random order of {self.length:,} samples, its `__len__`. "
                "Fix: return a smaller number, which makes epochs shorter, or set `shuffle: false`"
            ) from error

    def _drawn(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(derive(self._seed, epoch))
        if isinstance(self._shuffle, InChunks):
            order: list[int] = self._shuffle.order(self.length, self.batch_size, generator).tolist()
            return order
        return [int(index) for index in torch.randperm(self.length, generator=generator).tolist()]


@dataclass(frozen=True)
class RankSampler:
    """The part of a process of the batches `start` to `stop` (exclusive), for a `DataLoader`. None: without end."""

    batches: Batches
    start: int
    stop: int | None
    rank: int = 0
    world_size: int = 1

    def __iter__(self) -> Iterator[list[Position]]:
        for iteration in count(self.start) if self.stop is None else range(self.start, self.stop):
            whole = self.batches.whole(iteration)
            start, stop = (part * len(whole) // self.world_size for part in (self.rank, self.rank + 1))
            yield whole[start:stop]


@dataclass(frozen=True)
class SharedEpoch:
    """One epoch for evaluation. Process r of n gets the whole batches r, r + n, r + 2n, ...

    Attributes:
        is_even: Whether all processes get equally many batches. Those beyond the first `own` repeat earlier batches.
    """

    batches: Batches
    rank: int = 0
    world_size: int = 1
    is_even: bool = False

    def __iter__(self) -> Iterator[list[Position]]:
        for index in range(self.rounds if self.is_even else self.own):
            yield self.positions(index)

    def number(self, index: int) -> int:
        """The number, among those of all processes, of the batch `index` of this one."""
        return (self.rank + index * self.world_size) % self.batches.per_epoch

    def positions(self, index: int) -> list[Position]:
        """The samples of the batch `index` of this process."""
        return self.batches.whole(self.number(index))

    @property
    def rounds(self) -> int:
        """Number of batches of the process that has the most."""
        return -(-self.batches.per_epoch // self.world_size)

    @property
    def own(self) -> int:
        """Number of batches that belong to this process."""
        return len(range(self.rank, self.batches.per_epoch, self.world_size))
