"""Two runs in one folder: the second is refused by the process id and host of the first."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from artschool.engine.run_state import RunState
from artschool.errors import CheckpointError, ResourceError, Stopped
from artschool.storage import run_lock
from artschool.storage.processes import start_of
from artschool.storage.run_lock import lock_folder
from tests.engine.test_ranks import finish, launch
from tests.engine.toy_run import Recorder, StopAfter, load, recorded, write
from tests.reports.small import SUPER_RESOLUTION, artschool, write_images

HOLDER = """
import sys, time
from pathlib import Path
from artschool.storage.run_lock import lock_folder
lock = lock_folder(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


@contextmanager
def holder(folder: Path, program: str = HOLDER) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of a folder until it is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_second_run_is_refused_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(Path("pics"), 2)
    write_images(Path("held"), 2)
    Path("sr.yml").write_text(SUPER_RESOLUTION)
    folder = Path("runs/sr")
    with holder(folder) as first:
        start = json.loads((folder / "run.lock").read_text())["start"]
        assert artschool("train", "sr.yml") == (
            5,
            f"runs/sr: in use by process {first.pid} on {socket.gethostname()}, started {start}. "
            "Fix: stop it or wait for its end, or choose another folder with --run-dir\n",
        )
        assert [path.name for path in folder.iterdir()] == ["run.lock"]
        code, text = artschool("eval", "sr.yml")
        assert (code, "in use" in text) == (6, False)
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert artschool("train", "sr.yml", "--no-trace")[0] == 0
    gc.collect()
    assert not (folder / "run.lock").exists()


def test_a_worker_that_outlives_its_killed_parent_does_not_keep_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The system closes the files of a killed process and deletes none.
    monkeypatch.setattr(run_lock, "_release", lambda path, descriptor, process: os.close(descriptor))
    lock = lock_folder(tmp_path)
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.read(reader, 1)
        os._exit(0)
    del lock
    gc.collect()
    try:
        with holder(tmp_path):
            pass
    finally:
        os.write(writer, b"x")
    assert os.waitpid(child, 0)[1] == 0
    os.close(reader)
    os.close(writer)


def test_what_a_forked_process_drops_stays_locked(tmp_path: Path) -> None:
    lock = lock_folder(tmp_path)
    if (child := os.fork()) == 0:
        del lock
        gc.collect()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert (tmp_path / "run.lock").exists()
    assert lock.is_training is False


def test_a_folder_is_loaded_twice_and_trained_by_one(tmp_path: Path) -> None:
    first, second = load(tmp_path), load(tmp_path)
    recorded(first)
    recorded(second)
    first.train()
    with pytest.raises(
        CheckpointError,
        match=r"run: another run has trained in it since this one was loaded\. Fix: load the run again$",
    ):
        second.train()
    assert load(tmp_path).is_finished


class LoadsAgain(Recorder):
    """Calls a function while the run trains."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__()
        self._call = call

    def advance(self, run: RunState) -> None:
        with pytest.raises(ResourceError, match=r"run: in use by another run of this process$"):
            self._call()


def test_two_runs_of_one_process_do_not_train_at_once(tmp_path: Path) -> None:
    run, other = load(tmp_path, "train.iterations=1"), load(tmp_path, "train.iterations=1")
    recorder = LoadsAgain(other.train)
    run.loggers = [recorder]
    run.train()
    assert len(recorder.records) == 1


def test_a_run_trains_again_after_it_was_stopped(tmp_path: Path) -> None:
    run = load(tmp_path)
    run.loggers = [StopAfter(7)]
    with pytest.raises(Stopped):
        run.train()
    recorded(run)
    assert run.train().is_finished


def test_the_folder_of_a_run_that_has_trained_or_was_dropped_is_free(tmp_path: Path) -> None:
    run = load(tmp_path)
    assert not (tmp_path / "run").exists()  # Nothing is trained yet.
    (tmp_path / "run").mkdir()
    run = load(tmp_path)
    assert (tmp_path / "run" / "run.lock").is_file()
    del run
    gc.collect()
    assert not (tmp_path / "run" / "run.lock").exists()
    run = load(tmp_path, "train.iterations=1")
    recorded(run)
    run.train()
    with holder(tmp_path / "run"), pytest.raises(ResourceError, match="run: in use by process"):
        load(tmp_path)


def test_a_run_that_was_loaded_before_there_was_a_folder_is_refused_when_it_trains(tmp_path: Path) -> None:
    run = load(tmp_path)
    recorded(run)
    with holder(tmp_path / "run"), pytest.raises(ResourceError, match="run: in use by process"):
        run.train()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.lock"]
    assert run.train().is_finished


@pytest.mark.parametrize(
    ("owner", "refused"),
    [
        ("", False),
        ("{}", False),
        ('{"pid": PID, "host": "HOST", "start": "today"}', False),
        ('{"pid": PARENT, "host": "HOST", "start": "today"}', True),
        ('{"pid": 99999999, "host": "HOST", "start": "today"}', False),
        ('{"pid": PARENT, "host": "HOST", "start": "today", "process": "START"}', True),
        ('{"pid": PARENT, "host": "HOST", "start": "today", "process": "a process of an earlier boot"}', False),
        ('{"pid": 99999999, "host": "elsewhere", "start": "today"}', False),
    ],
)
def test_without_locks_of_files_the_content_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str, refused: bool
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    monkeypatch.setattr(run_lock, "STALE_S", 0.5)
    filled = owner.replace("PID", str(os.getpid())).replace("PARENT", str(os.getppid()))
    filled = filled.replace("START", start_of(os.getppid()))
    (tmp_path / "run.lock").write_text(filled.replace("HOST", socket.gethostname()))
    if refused:
        with pytest.raises(
            ResourceError, match=f"in use by process {os.getppid()} on {socket.gethostname()}, started today"
        ):
            lock_folder(tmp_path)
        return
    lock = lock_folder(tmp_path)
    assert json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()
    del lock
    assert not (tmp_path / "run.lock").exists()


ELSEWHERE = """
import fcntl, socket, sys, time
from pathlib import Path
from artschool.storage import run_lock
socket.gethostname = lambda: "elsewhere"
run_lock.BEAT_S = 0.1
fcntl.flock = lambda *_: None
lock = run_lock.lock_folder(Path(sys.argv[1]))
print("locked", flush=True)
while not lock.is_lost:
    time.sleep(0.01)
print(lock.taker(), flush=True)
"""
"""A process of another host, on a file system that locks for the processes of one host only."""


def test_a_run_of_another_host_is_refused_as_long_as_it_touches_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lock, "STALE_S", 1.5)
    with holder(tmp_path, ELSEWHERE) as other:
        with pytest.raises(ResourceError, match=rf"in use by process {other.pid} on elsewhere, started .* UTC\. Fix"):
            lock_folder(tmp_path)
        other.send_signal(signal.SIGSTOP)
        notes: list[str] = []
        lock = lock_folder(tmp_path, notes.append)
        (note,) = notes
        assert note.startswith(f"{tmp_path}: locked by process {other.pid} on elsewhere, started ")
        # Up to a beat has passed since it touched the lock.
        wait = r" UTC\. Its host cannot be asked whether it still runs, so this waits up to [12] s for a sign of life"
        assert re.search(f"{wait}$", note)
        other.send_signal(signal.SIGCONT)
        assert other.stdout is not None
        assert other.stdout.readline().startswith(f"process {os.getpid()} on {socket.gethostname()}, started ")
        assert not lock.is_lost


class Moves(Recorder):
    """Moves or deletes the folder of the run after an iteration, and waits until its lock is found to be lost."""

    def __init__(self, move: Callable[[Path], object]) -> None:
        super().__init__()
        self._move = move

    def advance(self, run: RunState) -> None:
        super().advance(run)
        if run.iteration == 7:
            self._move(run.folder)
            deadline = time.monotonic() + 10
            while run.lock is not None and not run.lock.is_lost and time.monotonic() < deadline:
                time.sleep(0.01)


@pytest.mark.parametrize("move", [shutil.rmtree, lambda folder: folder.rename(folder.with_name("moved"))])
def test_a_folder_that_is_moved_or_deleted_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, move: Callable[[Path], object]
) -> None:
    monkeypatch.setattr(run_lock, "BEAT_S", 0.02)
    run = load(tmp_path)
    run.loggers = [recorder := Moves(move)]
    assert run.train().is_finished
    (note,) = (note for note in recorder.notes if "moved or deleted" in note)
    assert note.startswith(f"warning: {tmp_path}/run: the run folder was moved or deleted while the run trains")
    assert run.store.numbers() == [15, 20]
    assert run.lock is None
    assert not (tmp_path / "run" / "run.lock").exists()


def test_a_run_whose_folder_another_one_has_taken_over_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "BEAT_S", 0.02)
    run = load(tmp_path)
    other = json.dumps({"pid": 4711, "host": "elsewhere", "start": "today"})
    run.loggers = [Moves(lambda folder: (folder / "run.lock").write_text(other))]
    with pytest.raises(ResourceError, match="run: process 4711 on elsewhere, started today, has taken over the folder"):
        run.train()
    assert (tmp_path / "run" / "run.lock").read_text() == other


def test_a_lock_that_was_just_deleted_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock, calls = fcntl.flock, []

    def delayed(descriptor: int, operation: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            (tmp_path / "run.lock").unlink()  # The first owner ends between open and lock.
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", delayed)
    lock = lock_folder(tmp_path)
    assert len(calls) == 2
    assert os.fstat(lock.descriptor).st_ino == (tmp_path / "run.lock").stat().st_ino


@pytest.mark.soak
def test_all_ranks_of_a_second_run_are_refused_and_those_of_one_run_share_the_lock(tmp_path: Path) -> None:
    """Over five seconds: two processes import torch, twice."""
    file = write(tmp_path, "train.iterations=2", "evaluate={}")
    with holder(tmp_path / "run") as first:
        code, output = finish(launch(tmp_path, file, 2, "--no-trace"))
        assert code != 0
        assert output.count(f"run: in use by process {first.pid} on {socket.gethostname()}") == 2, output
    code, output = finish(launch(tmp_path, file, 2, "--no-trace"))
    assert code == 0, output
    assert not (tmp_path / "run" / "run.lock").exists()
