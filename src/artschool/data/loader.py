"""Loads batches in the order of a sampler, in this process or in workers. The result is bit-identical."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader

from artschool.data.bad_samples import BadSample, BadSamples, bad_sample, machine_error
from artschool.data.collate import Collate
from artschool.data.sampler import Position
from artschool.data.seeds import Seeds, seed_all
from artschool.errors import ArtschoolError, DataError, ResourceError

MAX_TRIES = 32
"""Maximum number of samples to try for one position of a batch."""


class ReadSample(NamedTuple):
    """A sample or the error that ends the run, and the bad samples that were tried before it."""

    sample: Any
    bad: Sequence[BadSample] = ()


class LoadedBatch(NamedTuple):
    """A batch or the error that ends the run, and the bad samples of the batch.

    Workers return errors as values. An exception raised in a worker would arrive as the text of two tracebacks.
    """

    batch: dict[str, Any] | ArtschoolError
    bad: Sequence[BadSample] = ()


class SeededDataset:
    """A data set that seeds the random numbers of each sample from (seed, epoch, index).

    A sample that cannot be read is replaced by another one, which these numbers also determine.
    """

    def __init__(self, dataset: Any, name: str, seed: int, max_bad: int = 0) -> None:
        self._dataset = dataset
        self._name = name
        self._max_bad = max_bad
        self._seeds = Seeds(seed, "samples", name)

    def __getitem__(self, position: Position) -> ReadSample:
        epoch, index = position
        seed = self._seeds(epoch, index)
        bad: dict[int, BadSample] = {}
        for attempt in range(1, MAX_TRIES + 1):
            seed_all(seed)
            try:
                sample = self._dataset[index]
                return ReadSample(sample, list(bad.values())) if bad else ReadSample(sample)
            except Exception as error:  # Every exception of a data set is reported with the index of the sample.
                fatal = machine_error(self._name, error)
                if fatal is not None:
                    return ReadSample(fatal)
                bad[index] = bad_sample(index, epoch, error)
            if len(bad) > self._max_bad:
                break
            seed = self._seeds(epoch, position.sample, attempt)
            index = seed % len(self._dataset)
        message = f"{self._name}: no replacement for sample {position.sample} could be read in {MAX_TRIES} tries"
        return ReadSample(DataError(message), list(bad.values()))

    def __len__(self) -> int:
        return len(self._dataset)


@dataclass(frozen=True)
class _BatchMaker:
    """Joins read samples to a batch."""

    name: str
    collate: Collate

    def __call__(self, reads: Sequence[ReadSample]) -> LoadedBatch:
        bad = [sample for read in reads for sample in read.bad]
        samples = [read.sample for read in reads]
        error = next((sample for sample in samples if isinstance(sample, ArtschoolError)), None)
        if error is not None:
            return LoadedBatch(error, bad)
        try:
            return LoadedBatch(self.collate(samples), bad)
        except DataError as error:
            return LoadedBatch(DataError(f"{self.name}: {error}"), bad)


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
    """

    dataset: Any
    name: str
    seed: int
    workers: int = 0
    timeout: float = 0
    collate: Collate = field(default_factory=Collate)
    bad: BadSamples = field(default_factory=lambda: BadSamples("data"))

    def load(self, sampler: Iterable[list[Position]], device: torch.device) -> Generator[dict[str, Any]]:
        """Load the batches of a sampler, in its order.

        Raises:
            DataError: Too many samples cannot be read, samples do not fit into a batch, or a worker does not respond.
            ResourceError: A worker died, or the machine ran out of open files or memory.
        """
        seeded = SeededDataset(self.dataset, self.name, self.seed, self.bad.max_bad)
        make_batch = _BatchMaker(self.name, self.collate)
        loaded: Generator[LoadedBatch]
        if self.workers:
            loaded = self._from_workers(seeded, make_batch, sampler, device)
        else:
            loaded = (make_batch([seeded[position] for position in batch]) for batch in sampler)
        with closing(loaded):  # Ends the workers even if an exception keeps this frame alive.
            for batch, bad in loaded:
                for sample in bad:
                    self.bad.add(sample)
                if isinstance(batch, ArtschoolError):
                    raise batch
                yield batch

    def first(self, count: int) -> dict[str, Any]:
        """A batch of the first samples, loaded in this process. Smaller than `count` if the data set is.

        Raises:
            DataError: The data set is empty, a sample cannot be read, or the samples do not fit into a batch.
        """
        if not len(self.dataset):
            raise DataError(f"{self.name}: the data set is empty (its length is 0)")
        positions = [Position(0, index) for index in range(min(count, len(self.dataset)))]
        return next(replace(self, workers=0).load([positions], torch.device("cpu")))

    def _from_workers(
        self, seeded: SeededDataset, make_batch: _BatchMaker, sampler: Iterable[list[Position]], device: torch.device
    ) -> Generator[LoadedBatch]:
        requested: deque[list[Position]] = deque()

        def remembered() -> Iterator[list[Position]]:
            for batch in sampler:
                requested.append(batch)
                yield batch

        iterator = iter(
            DataLoader(
                seeded,  # type: ignore[arg-type]  # map-style by its methods, not its base
                batch_sampler=remembered(),
                collate_fn=make_batch,
                num_workers=self.workers,
                worker_init_fn=_leave_signals_to_the_main_process,
                pin_memory=device.type == "cuda",
                timeout=self.timeout,
            )
        )
        number = 0
        while True:
            try:
                loaded: LoadedBatch = next(iterator)
            except StopIteration:
                return
            except RuntimeError as error:
                processes = getattr(iterator, "_workers", [])
                dead = [worker for worker, process in enumerate(processes) if not process.is_alive()]
                for process in processes:
                    with suppress(RuntimeError):  # torch raises it once, when it notices that a worker has ended.
                        process.kill()  # Workers ignore the signals with which torch would end them.
                        process.join()
                worker = dead[0] if dead else number % self.workers
                waiting = [batch for turn, batch in enumerate(requested, number) if turn % self.workers == worker]
                raise self._worker_error(worker, waiting, error) from error
            requested.popleft()
            number += 1
            yield loaded

    def _worker_error(self, worker: int, batches: list[list[Position]], error: RuntimeError) -> ArtschoolError:
        """The error for a worker that does not respond or has died, with the samples that it was loading."""
        positions = [position for batch in batches for position in batch]
        samples = ", ".join(str(position.sample) for position in positions[:16])
        samples += ", ..." if len(positions) > 16 else ""
        loading = f"(it was loading samples {samples})"
        if "timed out" in str(error):
            problem = f"worker {worker} returned no batch within {self.timeout:g} seconds {loading}"
            return DataError(f"{self.name}: {problem}. Fix: check these samples, or raise `timeout` of the data set")
        fix = "if memory ran out, set fewer `workers` or a smaller `batch_size`"
        if "Bus error" in str(error) or "shared memory" in str(error):
            fix = "shared memory (/dev/shm) ran out; enlarge it, or set fewer `workers` or a smaller `batch_size`"
        reason = str(error).splitlines()[0].rstrip(".")
        return ResourceError(f"{self.name}: worker {worker} died {loading}: {reason}. Fix: {fix}")


def length_of(dataset: Any, name: str) -> int:
    """The number of samples.

    Raises:
        DataError: The data set has no `__len__` or no `__getitem__`.
    """
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise DataError(
            f"{name}: {type(dataset).__name__} is not a data set (expected methods __len__ and __getitem__)"
        )
    return len(dataset)


def _leave_signals_to_the_main_process(worker: int) -> None:
    # A signal reaches the whole process group, but the main process needs its workers to finish the iteration.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
