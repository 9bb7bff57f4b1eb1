"""Batches from worker processes, which end with the loader, whatever ends it.

Each worker has its own connections and shares no lock with another, so that one that is killed disturbs no other, and
what it has sent before arrives. Workers take turns, batch by batch.
"""

from __future__ import annotations

import atexit
import errno
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Generic, TypeVar

from artschool.data.bad_samples import machine_error
from artschool.data.shared_memory import Sent, unpack
from artschool.data.worker_process import Samples, Worker, start_worker
from artschool.errors import ArtschoolError, DataError, ResourceError, text_of
from artschool.waits import waiting

Batch = TypeVar("Batch")
PREFETCH = 2
"""Number of batches that each worker is asked for in advance."""
PATIENCE_S = 5
"""Seconds after which workers that do not end are killed."""
INTERVAL_S = 0.5
"""Seconds after which a wait looks whether it takes too long."""


def cores() -> int:
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(eq=False)
class Workers(Generic[Batch]):
    """The worker processes of a loader.

    Attributes:
        name: The data set, for errors.
        samples: The data set, which each process gets once.
        make_batch: Joins samples to a batch.
        count: Number of processes.
        timeout: Seconds to wait for a batch. 0: no limit.
        pin: Copies a batch to pinned memory, from which a GPU copies without waiting. A thread calls it in advance.
            None: batches stay where they are.
        keep: Whether the processes wait for another `load` after the last batch, until `end`.
    """

    name: str
    samples: Any
    make_batch: Callable[[list[Any]], Batch]
    count: int
    timeout: float
    pin: Callable[[Batch], Batch] | None = None
    keep: bool = False

    def __post_init__(self) -> None:
        self._workers: list[Worker] = []
        self._thread: ThreadPoolExecutor | None = None

    def load(self, sampler: Iterable[Samples]) -> Generator[Batch]:
        """Batches in the order of a sampler. One `load` at a time.

        A handler of a signal may raise an exception while it waits for a batch. Then the workers are killed at once.

        Raises:
            DataError: A worker does not respond, or a batch cannot be sent.
            ResourceError: A worker died, or the machine ran out of memory, processes or open files.
        """
        is_complete = False
        try:
            self._start()
            yield from self._load(iter(sampler))
            is_complete = True
        except GeneratorExit:
            raise
        except BaseException:
            _kill(self._workers)  # One of them may not respond.
            raise
        finally:
            if not (self.keep and is_complete):
                self.end()

    def _load(self, batches: Iterator[Samples]) -> Generator[Batch]:
        turns, asked = cycle(self._workers), deque[Worker]()

        def ask_for(number: int) -> None:
            for batch in islice(batches, number):
                asked.append(next(turns))
                asked[-1].ask(batch)

        ask_for(PREFETCH * self.count)
        ahead: Future[Batch] | None = None
        while asked:
            worker = asked.popleft()
            loaded = self._batch(worker, self._wait(worker)) if ahead is None else ahead.result()
            worker.asked.popleft()
            ask_for(1)
            ahead = self._pin_ahead(asked[0]) if asked and self._thread is not None else None
            yield loaded
            del loaded  # Or it would keep its memory while the next one is received.

    def _start(self) -> None:
        # A traceback may keep a frame until Python ends, when multiprocessing waits for processes that are alive.
        atexit.unregister(self.end)
        atexit.register(self.end)
        if self.pin is not None and self._thread is None:
            self._thread = ThreadPoolExecutor(1, "pin")
        for number in range(len(self._workers), self.count):
            try:
                self._workers.append(start_worker(number, self.count, self.samples, self.make_batch))
            except OSError as error:
                problem = f"{self.name}: cannot start worker {number}: {error}. Fix: set fewer `workers`"
                raise machine_error(self.name, error) or ResourceError(problem) from error

    def end(self) -> None:
        """End the processes: after their current batch, or after some seconds without it."""
        atexit.unregister(self.end)
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.close()
        ticks = int(PATIENCE_S / INTERVAL_S)
        for worker in workers:
            while worker.process.is_alive() and ticks > 0:
                worker.process.join(INTERVAL_S)
                ticks -= 1
        _kill(workers)
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def _wait(self, worker: Worker) -> Sent:
        """What a worker sends next."""
        ticks = 0  # Time while this process is stopped, or the machine sleeps, does not count.
        with waiting(lambda: f"a batch of {self.name} from {worker}"):
            while True:
                try:
                    sent = worker.receive(INTERVAL_S)
                except (EOFError, OSError) as error:
                    raise self._lost(worker, error) from error
                except ArtschoolError:  # The wait has been ended because it takes too long.
                    worker.print_stack()
                    raise
                if sent is not None:
                    return sent
                ticks += 1
                if 0 < self.timeout <= ticks * INTERVAL_S:
                    raise self._late(worker)

    def _batch(self, worker: Worker, sent: Sent) -> Batch:
        try:
            loaded: Batch | Exception = unpack(sent)
        except Exception as error:  # The code of a value runs.
            loaded = error
        if not isinstance(loaded, Exception):
            return loaded if self.pin is None else self.pin(loaded)
        problem = f"the batch of {worker} cannot be sent: {text_of(loaded)}"
        raise machine_error(self.name, loaded) or DataError(f"{self.name}: {problem}")

    def _pin_ahead(self, worker: Worker) -> Future[Batch] | None:
        """Copy the next batch to pinned memory while training computes, if it has arrived."""
        assert self._thread is not None
        with suppress(EOFError, OSError):  # Raised again when its turn comes.
            sent = worker.receive(0)
            if sent is not None:
                return self._thread.submit(self._batch, worker, sent)
        return None

    def _late(self, worker: Worker) -> ArtschoolError:
        worker.print_stack()
        problem = f"worker {worker.number} returned no batch within {self.timeout:g} seconds"
        fix = "check these samples, or raise `timeout` of the data set"
        return DataError(f"{self.name}: {problem} (it was loading {worker.samples}). Fix: {fix}")

    def _lost(self, worker: Worker, error: Exception) -> ArtschoolError:
        if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE):
            fix = "raise the limit of open files (`ulimit -n`) or set fewer `workers`"
            return ResourceError(f"{self.name}: cannot receive the batch of {worker}: {error}. Fix: {fix}")
        problem = f"worker {worker.number} died (it was loading {worker.samples}): {worker.fate}"
        return ResourceError(f"{self.name}: {problem}. Fix: {worker.fix}")


def _kill(workers: Iterable[Worker]) -> None:
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.join()
