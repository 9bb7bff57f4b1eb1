"""A process that loads batches for another one, and ends with it."""

from __future__ import annotations

import ctypes
import faulthandler
import multiprocessing
import os
import select
import signal
import sys
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch
import torch.utils.data._utils.worker as torch_worker

from artschool.data.sampler import Position
from artschool.data.shared_memory import Sent, pack, receive, send
from artschool.errors import text_of

Samples = list[Position]
PRINT_STACK = signal.SIGVTALRM
"""Makes a worker print the stacks of its threads to stderr. Nobody else sends this signal."""
IGNORED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGXCPU")
"""Signals that reach the whole process group, but the main process needs its workers to finish the iteration."""
FORK = multiprocessing.get_context("fork")
"""Workers inherit the data set, which need not be picklable. Not every Python forks by default on every system."""
PR_SET_PDEATHSIG = 1
STDERR = 2
"""The file, and not `sys.stderr`, which may be an object without one."""
MAX_LISTED = 16
_kept_by_parent = weakref.WeakSet[Connection]()
"""The ends of connections that a worker must not keep open: it would never learn that the main process has ended."""


@dataclass(eq=False)
class Worker:
    """A worker as the main process has it.

    Attributes:
        asked: The batches that it has been asked for and that have not been received. It makes the first one.
    """

    number: int
    process: BaseProcess
    requests: Connection
    answers: Connection
    asked: deque[Samples] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._poll = select.poll()
        self._poll.register(self.answers, select.POLLIN)
        self._poll.register(self.process.sentinel, select.POLLIN)

    def __str__(self) -> str:
        return f"worker {self.number}{f' ({self.samples})' if self.asked else ''}"

    def ask(self, batch: Samples) -> None:
        """Ask for a batch. If the worker has ended, `receive` raises the error."""
        self.asked.append(batch)
        with suppress(OSError):
            self.requests.send(batch)

    def receive(self, seconds: float) -> Sent | None:
        """What it has sent. None: nothing within so many seconds.

        Raises:
            EOFError: It has ended.
            OSError: The connection broke, or this process has too many open files.
        """
        ready = self._poll.poll(seconds * 1000)
        if not ready:
            return None
        # A process that the worker has started may hold the connection open.
        if all(file != self.answers.fileno() for file, _ in ready) and not self.answers.poll():
            raise EOFError
        return receive(self.answers)

    def close(self) -> None:
        """Let it end after its current batch."""
        self.requests.close()
        self.answers.close()

    def print_stack(self) -> None:
        """Make it print its stacks."""
        assert self.process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, PRINT_STACK)
        self.process.join(0.5)

    @property
    def fate(self) -> str:
        """How it ended."""
        self.process.join(1)
        code = self.process.exitcode
        if code is None:
            return "it closed its connection"
        return f"it exited with code {code}" if code >= 0 else f"it was killed by {signal.Signals(-code).name}"

    @property
    def fix(self) -> str:
        """What to do after it ended."""
        if self.process.exitcode == -signal.SIGKILL:
            return "if memory ran out, set fewer `workers` or a smaller `batch_size`"
        return "check these samples; what the worker printed is above"

    @property
    def samples(self) -> str:
        """The samples of the batch that it makes."""
        listed = ", ".join(str(position.sample) for position in self.asked[0][:MAX_LISTED])
        return f"samples {listed}{', ...' if len(self.asked[0]) > MAX_LISTED else ''}"


def start_worker(number: int, count: int, samples: Any, make_batch: Callable[[list[Any]], Any]) -> Worker:
    """Start worker `number` of `count`, which joins samples to batches.

    Raises:
        OSError: There are too many processes or open files, or there is no memory.
    """
    theirs, requests = FORK.Pipe(duplex=False)
    answers, ours = FORK.Pipe()
    _kept_by_parent.update([requests, answers])
    with theirs, ours:
        process = FORK.Process(
            target=_work, args=(number, count, samples, make_batch, theirs, ours), name=f"worker {number}", daemon=True
        )
        process.start()
    return Worker(number, process, requests, answers)


def _work(
    number: int,
    count: int,
    samples: Any,
    make_batch: Callable[[list[Any]], Any],
    requests: Connection,
    answers: Connection,
) -> None:
    _prepare(number, count, samples)
    with suppress(EOFError, ConnectionError):  # The main process has ended, or needs no more.
        while True:
            batch = requests.recv()
            _answer(answers, make_batch(samples.__getitems__(batch)))


def _answer(answers: Connection, loaded: Any) -> None:
    try:
        sent = pack(loaded)
    except OSError as error:
        sent = pack(OSError(error.errno, error.strerror))
    except Exception as error:  # The code of a value runs. Its error may be one that cannot be packed.
        sent = pack(RuntimeError(f"{type(error).__name__}: {text_of(error)}"))
    send(answers, sent)


def _prepare(number: int, count: int, samples: Any) -> None:
    _end_with_parent()
    for connection in _kept_by_parent:
        connection.close()
    for name in IGNORED:
        signal.signal(signal.Signals[name], signal.SIG_IGN)
    faulthandler.enable(STDERR)
    faulthandler.register(PRINT_STACK, STDERR)
    torch.set_num_threads(1)
    # What `torch.utils.data.get_worker_info` returns.
    torch_worker._worker_info = torch_worker.WorkerInfo(  # private; torch's own workers alone can set it
        id=number, num_workers=count, seed=torch.initial_seed() + number, dataset=samples
    )


def _end_with_parent() -> None:
    """Let the system kill this process when its parent ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is None or not parent.is_alive():  # It ended before the call.
        os._exit(1)
