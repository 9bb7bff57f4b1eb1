"""Saving in the background: what training waits for, and the thread that does the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from threading import Thread

import torch
from torch import Tensor, strided

from artschool import ranks
from artschool.errors import ResourceError

TensorFiles = Mapping[str, Mapping[str, Tensor]]
"""Named tensors by file."""
Within = Callable[[], AbstractContextManager[object]]
Write = Callable[[], Iterator[None]]
"""A generator function. Training waits until it yields, which it does once; the rest can run in a thread."""


class Saver:
    """Runs the writes of a run in a thread, one after the other. After one that fails, no other runs.

    Attributes:
        number: The checkpoint that is being written or has not been waited for. None: there is none.
        refusals: The errors of the disk at the last saves: empty if the last one succeeded.
        best: The best value so far and its number, as the last write has them.
        best_on_disk: The same, as the last write that succeeded has them.
        retry_at: The iteration after which a refused save is tried again.
        differing: The buffers of which it was reported that the processes have other values.
        group: The group in which the processes of a sharded run write together. None: none has been needed.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.refusals: list[ResourceError] = []
        self.best: tuple[float, int] | None = None
        self.best_on_disk: tuple[float, int] | None = None
        self.retry_at: int | None = None
        self.differing: set[str] = set()
        self.group: ranks.Group = None
        self._thread: Thread | None = None
        self._error: BaseException | None = None

    def start(self, number: int, write: Write, within: Within) -> None:
        """Run a write up to its yield, and the rest after the writes that were started before, in a thread.

        Args:
            number: The checkpoint to which it writes.
            within: The context of each part.
        """
        before, self.number = self._thread, number
        steps = write()
        self._do(lambda: next(steps), within)

        def run() -> None:
            if before is not None:
                before.join()
            self._do(lambda: deque(steps, maxlen=0), within)

        # A daemon, so that a second Ctrl-C ends the process at once. What is left of the write is removed at a resume.
        self._thread = Thread(target=run, name=f"checkpoint {number}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # The system allows no other thread.
            self._thread = before
            run()

    def run(self, number: int, write: Write, within: Within) -> None:
        """Run a write in this thread."""
        self.number = number
        self._do(lambda: deque(write(), maxlen=0), within)

    def _do(self, work: Callable[[], object], within: Within) -> None:
        """Do a part of a write, unless something has failed."""
        if self._error is None:
            try:
                with within():
                    work()
            except BaseException as error:
                self._error = error

    def refuse(self, error: ResourceError, iteration: int) -> None:
        """The disk has refused the last save. Try again after 2 iterations, then 4, 8, ... more."""
        self.refusals.append(error)
        self.retry_at = iteration + 2 ** len(self.refusals)

    def succeed(self) -> None:
        """The last save is on the disk."""
        self.best_on_disk = self.best
        self.refusals.clear()
        self.retry_at = None

    def join(self) -> None:
        """Wait for all writes. `wait` returns their error."""
        if self._thread is not None:
            self._thread.join()

    def wait(self) -> tuple[int | None, BaseException | None]:
        """Wait for all writes. Returns the last checkpoint since the last call, and the error of the first failure."""
        self.join()
        waited = self.number, self._error
        self.number = self._thread = self._error = None
        return waited


def copied(*parts: TensorFiles, from_cpu: bool = True) -> tuple[list[dict[str, dict[str, Tensor]]], Callable[[], None]]:
    """Copy tensors into the memory of the CPU.

    From a CUDA device, the copies are queued behind the work that the device has to do, and before what is queued
    later: nothing waits here, and later changes of the tensors are not in them.

    Args:
        from_cpu: Whether to copy those that are there already, too.

    Returns:
        The copies, and a function that returns when they are complete.
    """
    copies = [
        {
            file: {name: value if value.is_cpu and not from_cpu else _copy(value) for name, value in named.items()}
            for file, named in part.items()
        }
        for part in parts
    ]
    devices = {value.device for part in parts for named in part.values() for value in named.values() if value.is_cuda}
    events = [torch.cuda.current_stream(device).record_event() for device in devices]

    def wait() -> None:
        for event in events:
            event.synchronize()

    return copies, wait


def _copy(value: Tensor) -> Tensor:
    if value.layout != strided or value.is_meta:  # It cannot be saved, which the write says with its name.
        return value
    value = value.detach()
    if value.is_cuda:
        return torch.empty_like(value, device="cpu", pin_memory=True).copy_(value, non_blocking=True)
    return value.to("cpu", copy=True)
