"""Loads batches in the order of a sampler, in this process or in workers. The result is bit-identical."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import torch

from artschool.data.bad_samples import MAX_LISTED, BadSample, BadSamples, machine_error
from artschool.data.collate import Collate
from artschool.data.sampler import Position
from artschool.data.samples import identity
from artschool.data.seeded_dataset import ReadSample, SampleKeys, SeededDataset, is_of_user
from artschool.data.to_device import in_pinned_memory
from artschool.data.workers import Workers
from artschool.errors import ArtschoolError, DataError, text_of
from artschool.registry.map_style import FIX, has_samples, only_iterates
from artschool.waits import waiting


class LoadedBatch(NamedTuple):
    """A batch or the error that ends the run, and the bad samples of the batch.

    Workers return errors as values. An exception raised in a worker would arrive as the text of two tracebacks.
    """

    batch: dict[str, Any] | ArtschoolError
    bad: Sequence[BadSample] = ()


@dataclass(frozen=True)
class _BatchMaker:
    """Joins read samples to a batch."""

    name: str
    collate: Collate

    def __call__(self, reads: Sequence[ReadSample]) -> LoadedBatch:
        bad = [sample for read in reads for sample in read.bad]
        samples = [read.sample for read in reads]
        fatal = next((sample for sample in samples if isinstance(sample, ArtschoolError)), None)
        if fatal is not None:
            return LoadedBatch(fatal, bad)
        try:
            return LoadedBatch(self.collate(samples), bad)
        except BaseException as error:  # Values may have code of their own.
            if is_of_user(error):
                raise
            if (machine := machine_error(self.name, error)) is not None:
                return LoadedBatch(machine, bad)
            problem = text_of(error)
            if not isinstance(error, DataError):
                problem = f"cannot make a batch: {type(error).__name__}: {problem}"
            names = [" ".join([str(read.number), identity(read.sample)]).strip() for read in reads[:MAX_LISTED]]
            more = ", ..." if len(reads) > MAX_LISTED else ""
            listing = f"\n    The batch has the samples {', '.join(names)}{more}"
            return LoadedBatch(DataError(f"{self.name}: {problem}{listing}"), bad)


def _pinned(device: int, loaded: LoadedBatch) -> LoadedBatch:
    """The batch in pinned memory. `device` is the current one of the thread that trains."""
    if isinstance(loaded.batch, ArtschoolError):
        return loaded
    with torch.cuda.device(device):
        return loaded._replace(batch=in_pinned_memory(loaded.batch))


@dataclass
class Loader:
    """A data set and the options for loading it.

    Attributes:
        name: The path of the data set in the config file, such as `data.train`.
        seed: The seed of the run.
        workers: Number of worker processes. 0: load in this process.
        timeout: Seconds to wait for a batch from a worker. 0: no limit.
        collate: Joins samples to batches.
        bad: The samples that could not be read so far.
        keys: The keys of the samples.
    """

    dataset: Any
    name: str
    seed: int
    workers: int = 0
    timeout: float = 0
    collate: Collate = field(default_factory=Collate)
    bad: BadSamples = field(default_factory=lambda: BadSamples("data"))
    keys: SampleKeys = field(default_factory=SampleKeys)
    _kept: Workers[LoadedBatch] | None = field(default=None, init=False, repr=False, compare=False)

    def load(
        self, sampler: Iterable[list[Position]], device: torch.device, *, keep_workers: bool = False
    ) -> Generator[dict[str, Any]]:
        """Load the batches of a sampler, in its order.

        Args:
            keep_workers: Whether the workers wait for another such call after the last batch, until `end_workers`.

        Raises:
            DataError: Too many samples cannot be read, samples do not fit into a batch, or a worker does not respond.
            ResourceError: A worker died, or the machine ran out of open files or memory.
        """
        loaded = self._workers(device, keep=keep_workers).load(sampler) if self.workers else self._load_here(sampler)
        with closing(loaded):  # Ends the workers even if an exception keeps this frame alive.
            for batch, bad in loaded:
                for sample in bad:
                    self.bad.add(sample)
                if isinstance(batch, ArtschoolError):
                    raise batch
                yield batch
                del batch  # Or it would keep its memory while the next one is made.

    def _load_here(self, sampler: Iterable[list[Position]]) -> Generator[LoadedBatch]:
        seeded, make_batch = self._parts()

        def name_of_next() -> str:
            return f"sample {seeded.current.sample} of {self.bad.where}"

        for batch in sampler:
            with waiting(name_of_next):
                reads = seeded.__getitems__(batch)
            yield make_batch(reads)

    def end_workers(self) -> None:
        """End the workers that have been kept."""
        if self._kept is not None:
            self._kept.end()
            self._kept = None

    def _workers(self, device: torch.device, *, keep: bool) -> Workers[LoadedBatch]:
        if keep and self._kept is not None:
            return self._kept
        seeded, make_batch = self._parts()
        pin = partial(_pinned, torch.cuda.current_device()) if device.type == "cuda" else None
        workers = Workers(self.bad.where, seeded, make_batch, self.workers, self.timeout, pin, keep)
        if keep:
            self._kept = workers
        return workers

    def _parts(self) -> tuple[SeededDataset, _BatchMaker]:
        length = length_of(self.dataset, self.bad.where)
        seeded = SeededDataset(self.dataset, self.name, self.seed, length, self.bad.max_bad, self.keys)
        return seeded, _BatchMaker(self.bad.where, self.collate)

    def first(self, count: int) -> dict[str, Any]:
        """A batch of the first samples, loaded in this process. Smaller than `count` if the data set is.

        Raises:
            DataError: The data set is empty, a sample cannot be read, or the samples do not fit into a batch.
        """
        length = length_of(self.dataset, self.bad.where)
        if not length:
            raise DataError(f"{self.bad.where}: the data set is empty (its length is 0)")
        positions = [Position(0, index) for index in range(min(count, length))]
        return next(self.here([positions]))

    def here(self, sampler: Iterable[list[Position]]) -> Generator[dict[str, Any]]:
        """Load the batches of a sampler in this process. Raises what `load` raises."""
        return replace(self, workers=0).load(sampler, torch.device("cpu"))


def length_of(dataset: Any, name: str) -> int:
    """The number of samples.

    Raises:
        DataError: The data set has no `__len__` or no `__getitem__`, or its length is not a number of samples.
    """
    if not has_samples(type(dataset)):
        fix = f". Fix: {FIX}" if only_iterates(type(dataset)) else ""
        expected = "expected methods __len__ and __getitem__"
        raise DataError(f"{name}: {type(dataset).__name__} is not a data set ({expected}){fix}")
    try:
        return len(dataset)
    except (Exception, SystemExit) as error:  # The data set's own code runs.
        problem = f"expected a number of samples from `__len__`, got {type(error).__name__}: {text_of(error)}"
        raise DataError(f"{name}: {problem}") from error
