"""Batches from worker processes, which end with the loader, whatever ends it."""

from __future__ import annotations

import atexit
import multiprocessing.queues
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader

from artschool.data.sampler import Position
from artschool.errors import ArtschoolError, DataError, ResourceError

Batch = TypeVar("Batch")


class _Requests:
    """The batches that the workers are asked for: a sampler that can be exchanged."""

    def __init__(self) -> None:
        self.sampler: Iterable[list[Position]] = ()
        self.missing: deque[list[Position]] = deque()

    def __iter__(self) -> Iterator[list[Position]]:
        self.missing.clear()
        for batch in self.sampler:
            self.missing.append(batch)
            yield batch


@dataclass(eq=False)
class Workers(Generic[Batch]):
    """The worker processes of a loader.

    Attributes:
        name: The data set, for errors.
        samples: The data set, which each process gets once.
        make_batch: Joins samples to a batch.
        count: Number of processes.
        timeout: Seconds to wait for a batch. 0: no limit.
        pin_memory: Whether tensors are copied to pinned memory, from which they are copied to a GPU without waiting.
        keep: Whether the processes wait for another `load` after the last batch, until `end`.
    """

    name: str
    samples: Any
    make_batch: Callable[[list[Any]], Batch]
    count: int
    timeout: float
    pin_memory: bool
    keep: bool = False

    def __post_init__(self) -> None:
        self._requests = _Requests()
        self._loader: DataLoader[Any] | None = None
        self._iterator: Any = None

    def load(self, sampler: Iterable[list[Position]]) -> Generator[Batch]:
        """Batches in the order of a sampler. One `load` at a time.

        Raises:
            DataError: A worker does not respond, or a batch cannot be received.
            ResourceError: A worker died.
        """
        self._start(sampler)
        number, is_complete = 0, False
        try:
            while True:
                try:
                    loaded: Batch = next(self._iterator)
                except StopIteration:
                    is_complete = True
                    return
                except KeyboardInterrupt:
                    _kill(self._iterator._workers)  # A worker may hang, and whoever has sent the signal waits.
                    raise
                except Exception as error:
                    raise self._error(self._iterator, number, self._requests.missing, error) from error
                self._requests.missing.popleft()
                number += 1
                yield loaded
        finally:
            if not (self.keep and is_complete):
                self.end()

    def _start(self, sampler: Iterable[list[Position]]) -> None:
        self._requests.sampler = sampler
        if self._loader is None:
            self._loader = DataLoader(
                self.samples,
                batch_sampler=self._requests,
                collate_fn=self.make_batch,
                num_workers=self.count,
                worker_init_fn=_prepare_worker,
                pin_memory=self.pin_memory,
                timeout=self.timeout,
                persistent_workers=self.keep,
            )
        self._iterator = iter(self._loader)
        # A traceback may keep a frame until Python ends, when multiprocessing waits for processes that are alive.
        atexit.unregister(self.end)
        atexit.register(self.end)

    def end(self) -> None:
        """End the processes. A later `load` starts new ones."""
        atexit.unregister(self.end)
        iterator, self._iterator, self._loader = self._iterator, None, None
        if iterator is not None:
            _end(iterator)

    def _error(
        self, iterator: Any, number: int, requested: Iterable[list[Position]], error: Exception
    ) -> ArtschoolError:
        """End the workers, of which one does not respond or has died. The error names the samples that it loads."""
        processes = getattr(iterator, "_workers", [])
        dead = [worker for worker, process in enumerate(processes) if not process.is_alive()]
        _kill(processes)
        worker = dead[0] if dead else number % self.count
        positions = [p for turn, batch in enumerate(requested, number) if turn % self.count == worker for p in batch]
        samples = ", ".join(str(position.sample) for position in positions[:16])
        samples += ", ..." if len(positions) > 16 else ""
        loading = f"(it was loading samples {samples})"
        if not isinstance(error, RuntimeError) and not dead:
            return DataError(f"{self.name}: cannot receive a batch of worker {worker} {loading}: {error}")
        if "timed out" in str(error):
            problem = f"worker {worker} returned no batch within {self.timeout:g} seconds {loading}"
            return DataError(f"{self.name}: {problem}. Fix: check these samples, or raise `timeout` of the data set")
        fix = "if memory ran out, set fewer `workers` or a smaller `batch_size`"
        if "Bus error" in str(error) or "shared memory" in str(error):
            fix = "shared memory (/dev/shm) ran out; enlarge it, or set fewer `workers` or a smaller `batch_size`"
        # A worker that dies while a batch of it is under way breaks the connection, which has no text.
        reason = (
            str(error).splitlines()[0].rstrip(".") if isinstance(error, RuntimeError) else "it exited or was killed"
        )
        return ResourceError(f"{self.name}: worker {worker} died {loading}: {reason}. Fix: {fix}")


def _end(iterator: Any) -> None:
    """End the workers after their current batch, or after some seconds without it."""
    iterator._shutdown_workers()
    _kill(iterator._workers)


def _kill(processes: Iterable[Any]) -> None:
    for process in processes:
        try:
            process.kill()  # Workers ignore the signals with which torch would end them.
            process.join()
        except RuntimeError:  # torch raises it once, when it notices that a worker has ended.
            process.join()


def _prepare_worker(worker: int) -> None:
    # A signal reaches the whole process group, but the main process needs its workers to finish the iteration.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    # A batch that cannot be sent would be dropped by a thread, and the main process would wait for it forever.
    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(_die)  # type: ignore[attr-defined]  # private


def _die(error: Exception, item: Any) -> None:
    sys.stderr.write(f"a worker cannot send its batch: {type(error).__name__}: {error}\n")
    sys.stderr.flush()
    os._exit(1)
