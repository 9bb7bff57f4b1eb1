"""Batches of a data set in the sampler's order, loaded here or in workers, with the same bits either way."""

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
"""How many samples are tried for one place of a batch."""


class ReadSample(NamedTuple):
    """A sample, or why there is none, and what could not be read in its place."""

    sample: Any
    bad: Sequence[BadSample] = ()


class LoadedBatch(NamedTuple):
    """A batch, or why there is none, and what could not be read in it. Errors travel from a worker as values.

    Raised there, one would arrive as the text of two tracebacks.
    """

    batch: dict[str, Any] | ArtschoolError
    bad: Sequence[BadSample] = ()


class SeededDataset:
    """A data set whose sample draws its random numbers from (seed, epoch, index), whoever loads it and when.

    A sample that cannot be read is replaced by another, chosen from the same numbers.
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
            except Exception as error:  # Whatever a data set raises is told with the sample it was asked for.
                fault = machine_error(self._name, error)
                if fault is not None:
                    return ReadSample(fault)
                bad[index] = bad_sample(index, epoch, error)
            if len(bad) > self._max_bad:
                break
            seed = self._seeds(epoch, position.sample, attempt)
            index = seed % len(self._dataset)
        message = f"{self._name}: nothing could be read in the place of sample {position.sample} in {MAX_TRIES} tries"
        return ReadSample(DataError(message), list(bad.values()))

    def __len__(self) -> int:
        return len(self._dataset)


@dataclass(frozen=True)
class _BatchMaker:
    """Makes a batch of what was read."""

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
    """A data set, and how it is loaded.

    Attributes:
        name: Its path in the file, such as `data.train`.
        workers: How many processes load it; none for this one alone.
        timeout: Seconds to wait for a worker's batch before giving up; 0 waits for ever.
        bad: What could not be read so far.
    """

    dataset: Any
    name: str
    seed: int
    workers: int = 0
    timeout: float = 0
    collate: Collate = field(default_factory=Collate)
    bad: BadSamples = field(default_factory=lambda: BadSamples("data"))

    def load(self, sampler: Iterable[list[Position]], device: torch.device) -> Generator[dict[str, Any]]:
        """The batches that the sampler lists, in its order.

        Raises:
            DataError: Too many samples cannot be read, samples do not fit into one batch, or a worker is stuck.
            ResourceError: A worker was killed, or the machine ran out of files or memory.
        """
        seeded = SeededDataset(self.dataset, self.name, self.seed, self.bad.max_bad)
        make_batch = _BatchMaker(self.name, self.collate)
        loaded: Generator[LoadedBatch]
        if self.workers:
            loaded = self._from_workers(seeded, make_batch, sampler, device)
        else:
            loaded = (make_batch([seeded[position] for position in batch]) for batch in sampler)
        with closing(loaded):  # So that the workers end with it, even where an error keeps this frame alive.
            for batch, bad in loaded:
                for sample in bad:
                    self.bad.add(sample)
                if isinstance(batch, ArtschoolError):
                    raise batch
                yield batch

    def first(self, count: int) -> dict[str, Any]:
        """A batch of the first samples, loaded here, fewer where there are fewer.

        Raises:
            DataError: There are none, one of them cannot be read, or they do not fit into one batch.
        """
        if not len(self.dataset):
            raise DataError(f"{self.name} is empty: its length is 0")
        positions = [Position(0, index) for index in range(min(count, len(self.dataset)))]
        return next(replace(self, workers=0).load([positions], torch.device("cpu")))

    def _from_workers(
        self, seeded: SeededDataset, make_batch: _BatchMaker, sampler: Iterable[list[Position]], device: torch.device
    ) -> Generator[LoadedBatch]:
        asked: deque[list[Position]] = deque()

        def remembered() -> Iterator[list[Position]]:
            for batch in sampler:
                asked.append(batch)
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
                gone = [worker for worker, process in enumerate(processes) if not process.is_alive()]
                for process in processes:
                    with suppress(RuntimeError):  # Which torch raises once when it sees that one has ended.
                        process.kill()  # They ignore the signals that torch would end them with.
                        process.join()
                worker = gone[0] if gone else number % self.workers
                waiting = [batch for turn, batch in enumerate(asked, number) if turn % self.workers == worker]
                raise self._lost(worker, waiting, error) from error
            asked.popleft()
            number += 1
            yield loaded

    def _lost(self, worker: int, batches: list[list[Position]], error: RuntimeError) -> ArtschoolError:
        """What to tell of a worker that does not answer, and of the batches that it owes."""
        positions = [position for batch in batches for position in batch]
        samples = ", ".join(str(position.sample) for position in positions[:16])
        samples += ", ..." if len(positions) > 16 else ""
        who = f"{self.name}: worker {worker}, asked for samples {samples},"
        if "timed out" in str(error):
            return DataError(f"{who} gave nothing for {self.timeout:g} seconds; `timeout` of the data set says so")
        advice = "if memory ran out, take fewer `workers` or a smaller `batch_size`"
        if "Bus error" in str(error) or "shared memory" in str(error):
            advice = "shared memory (/dev/shm) ran out: make it larger, take fewer `workers` or a smaller `batch_size`"
        return ResourceError(f"{who} is gone: {str(error).splitlines()[0]}; {advice}")


def length_of(dataset: Any, name: str) -> int:
    """The number of samples.

    Raises:
        DataError: It is no data set that can be asked for a sample by its index.
    """
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise DataError(f"{name}: a data set needs __len__ and __getitem__, {type(dataset).__name__} has not")
    return len(dataset)


def _leave_signals_to_the_main_process(worker: int) -> None:
    # The signal reaches the whole process group; the main process still needs its workers to finish the iteration.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
