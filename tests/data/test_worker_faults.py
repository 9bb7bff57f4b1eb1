"""Real faults of workers: killed, stopped, stuck, orphaned, without memory to share. None hangs, each has a name."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from artschool.data.bad_samples import BadSamples
from artschool.data.loader import Loader
from artschool.data.sampler import Position
from artschool.data.workers import Workers
from artschool.errors import DataError, ResourceError
from tests.data.test_kept_workers import children

CPU = torch.device("cpu")
FORK = multiprocessing.get_context("fork")
Sample = dict[str, Any]


class Data:
    """Sample i is i, after what `act` does with it."""

    def __init__(self, act: Callable[[int], object], length: int) -> None:
        self._act, self._length = act, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        self._act(index)
        return {"index": index, "pid": os.getpid(), "x": torch.full((1000,), float(index))}


def nothing(index: int) -> None:
    pass


def loading(act: Callable[[int], object], workers: int = 2, length: int = 24, **options: Any) -> Iterator[Sample]:
    """Batches of two successive samples."""
    loader = Loader(Data(act, length), "data.train", 7, workers, bad=BadSamples("data.train"), **options)
    return loader.load([[Position(0, i), Position(0, i + 1)] for i in range(0, length, 2)], CPU)


def indices(batches: Iterator[Sample]) -> list[int]:
    return [int(index) for batch in batches for index in batch["index"]]


def assert_ended() -> None:
    assert children() == set()


def wait_until(is_true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("turn", [0, 1])
def test_what_a_killed_worker_has_sent_arrives_then_the_error_names_its_samples(turn: int) -> None:
    for _ in range(2):
        batches = loading(nothing)
        first = [next(batches) for _ in range(2)]
        time.sleep(0.2)  # Both workers have sent the batches that they were asked for in advance.
        os.kill(int(first[turn]["pid"][0]), signal.SIGKILL)
        read = []
        with pytest.raises(ResourceError) as error:
            for batch in batches:
                read += batch["index"].tolist()
        killed = 12 + 2 * turn
        assert read == list(range(4, killed))
        assert str(error.value) == (
            f"data.train: worker {turn} died (it was loading samples {killed}, {killed + 1}): "
            "it was killed by SIGKILL. Fix: if memory ran out, set fewer `workers` or a smaller `batch_size`"
        )
        assert_ended()


@pytest.mark.soak
def test_workers_killed_at_random_times_always_end_with_the_same_error() -> None:
    """Half a minute: 100 kills."""
    draw = np.random.default_rng(0)
    for _ in range(100):
        batches = loading(lambda index: time.sleep(0.001), length=4000)
        pid = int(next(batches)["pid"][0])
        threading.Timer(draw.uniform(0, 0.02), os.kill, (pid, signal.SIGKILL)).start()
        with pytest.raises(ResourceError, match=r"worker 0 died \(it was loading samples \d+, \d+\): it was killed by"):
            indices(batches)
        assert_ended()


def test_other_workers_of_the_process_are_not_disturbed() -> None:
    kept = Loader(Data(nothing, 24), "data.val", 7, workers=1)
    batches = loading(nothing)
    victim = int(next(batches)["pid"][0])
    evaluation = kept.load([[Position(0, i)] for i in range(24)], CPU)
    next(evaluation)
    os.kill(victim, signal.SIGKILL)
    assert len(list(evaluation)) == 23
    with pytest.raises(ResourceError, match=r"^data\.train: worker 0 died"):
        indices(batches)


def leave(index: int) -> None:
    if index == 6:
        os._exit(7)


def crash(index: int) -> None:
    if index == 6:
        os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize(
    ("act", "reason"), [(leave, "it exited with code 7"), (crash, "it was killed by SIGSEGV")], ids=["exit", "crash"]
)
def test_a_data_set_that_ends_its_process_is_named_with_the_samples(
    act: Callable[[int], None], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    fix = "Fix: check these samples; what the worker printed is above"
    with pytest.raises(ResourceError) as error:
        indices(loading(act))
    assert str(error.value) == f"data.train: worker 1 died (it was loading samples 6, 7): {reason}. {fix}"
    assert ("in crash" in capfd.readouterr().err) == (act is crash)


def sleep(index: int) -> None:
    if index == 6:
        time.sleep(600)


def test_a_worker_that_is_stuck_is_ended_and_shows_where(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=r"^data\.train: worker 1 returned no batch within 1 seconds \(it was loading "):
        indices(loading(sleep, timeout=1))
    assert "in sleep" in capfd.readouterr().err
    assert_ended()


@contextmanager
def running(load: Callable[[Callable[[], None]], None]) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process with a group of its own, which calls `load` with a function that sends a message."""

    def work() -> None:
        os.setsid()
        load(lambda: ours.send("batch"))
        ours.send("end")

    theirs, ours = FORK.Pipe(duplex=False)
    process = FORK.Process(target=work)
    process.start()
    ours.close()
    try:
        assert theirs.poll(60)
        yield process, theirs
    finally:
        with suppress(ProcessLookupError):  # Nothing is left of the group.
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()


def received(messages: Connection) -> list[str]:
    """All messages until the end."""
    found = []
    with suppress(EOFError):
        while messages.poll(60):
            found.append(messages.recv())
    return found


def test_time_while_the_run_is_stopped_is_no_time_of_a_worker() -> None:
    def load(tell: Callable[[], None]) -> None:
        for _ in loading(doze, workers=1, length=8, timeout=2.5):
            tell()

    with running(load) as (process, messages):
        os.killpg(process.pid or 0, signal.SIGSTOP)
        time.sleep(3)
        os.killpg(process.pid or 0, signal.SIGCONT)
        assert received(messages) == ["batch"] * 4 + ["end"]


def doze(index: int) -> None:
    for _ in range(20):  # One long sleep would end while the process is stopped.
        time.sleep(0.01)


def group(leader: BaseProcess) -> set[int]:
    """The processes of a group that run."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
            if int(pgrp) == leader.pid and state != "Z":
                found.add(int(stat.parent.name))
    return found


@pytest.mark.parametrize("stuck", [6, 23], ids=["busy", "idle"])
def test_no_worker_outlives_a_killed_run(stuck: int) -> None:
    def load(tell: Callable[[], None]) -> None:
        for _ in loading(lambda index: time.sleep(600 if index == stuck else 0), workers=2):
            tell()
            time.sleep(600)

    before = set(Path("/dev/shm").iterdir())
    with running(load) as (process, _):
        assert len(group(process)) == 3
        process.kill()
        wait_until(lambda: group(process) == set(), 5)
    assert set(Path("/dev/shm").iterdir()) <= before


def mount(size: str) -> None:
    """Give this process a shared memory folder of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_mounts, private = 0x20000, 1 << 18 | 1 << 14
    if (
        libc.unshare(new_mounts)
        or libc.mount(b"none", b"/", None, private, None)
        or libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, f"size={size}".encode())
    ):
        raise PermissionError(ctypes.get_errno())


def can_mount() -> bool:
    process = FORK.Process(target=mount, args=("16k",))
    process.start()
    process.join()
    return process.exitcode == 0


@pytest.mark.parametrize("size", ["16k", "64k", "64m"])
def test_a_small_shared_memory_folder_limits_nothing(size: str) -> None:
    if not can_mount():
        pytest.skip("may not mount")

    def load(tell: Callable[[], None]) -> None:
        mount(size)
        assert os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize <= 64 << 20
        loader = Loader(Large(), "data.train", 7, workers=2)
        for number, batch in enumerate(loader.load([[Position(0, i)] * 2 for i in range(4)], CPU)):
            assert batch["x"].shape == (2, 40 << 20) and batch["x"][0, -1] == number
            tell()

    with running(load) as (_, messages):
        assert received(messages) == ["batch"] * 4 + ["end"]


class Large:
    """Samples of 40 MB."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Sample:
        return {"x": torch.full((40 << 20,), index, dtype=torch.uint8)}


def test_memory_that_cannot_be_shared_is_an_error_with_what_to_change() -> None:
    def limit(index: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))

    with pytest.raises(ResourceError, match=r"^data\.train: \[Errno 27\] File too large\. Fix: .*`ulimit -f`"):
        indices(loading(limit))


def test_too_many_open_files_is_an_error_with_what_to_change() -> None:
    batches = loading(nothing)
    next(batches)
    original = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, original[1]))  # Of which all are in use.
        with pytest.raises(ResourceError, match=r"^data\.train: .*\(`ulimit -n`\)"):
            indices(batches)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, original)
    assert_ended()


def test_a_signal_ends_a_wait_for_a_worker_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("artschool.data.workers.PATIENCE_S", 60)
    start = time.monotonic()

    def handle(number: int, frame: object) -> None:
        raise KeyboardInterrupt("enough")

    original = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt, match=r"^enough$"):
            indices(loading(sleep))
    finally:
        signal.signal(signal.SIGALRM, original)
    assert_ended()
    assert time.monotonic() - start < 30


def test_a_thread_pins_batches_in_advance() -> None:
    threads = []

    def pin(batch: int) -> int:
        threads.append(threading.current_thread())
        return batch + 1

    batches = [[Position(0, index)] for index in range(8)]
    workers = Workers("data.train", Numbers(), first_of, 2, 0, pin)
    loaded = []
    for batch in workers.load(batches):
        loaded.append(batch)
        time.sleep(0.02)
    assert loaded == [number + 1 for number in range(8)]
    assert len(threads) == 8 and any(thread is not threading.main_thread() for thread in threads)
    assert_ended()


class Numbers:
    """Samples that are their indices."""

    def __getitems__(self, batch: list[Position]) -> list[int]:
        return [position.sample for position in batch]


def first_of(samples: list[int]) -> int:
    return samples[0]
