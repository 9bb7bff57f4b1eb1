"""A real SIGKILL in the middle of a save, then the same command: the weights of the uninterrupted run, bit by bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from artschool.storage import fault_points
from artschool.storage.checkpoint_files import Checkpoint
from artschool.storage.checkpoint_store import CheckpointStore
from tests.engine.toy_run import load, recorded, write


def train(file: Path, fault: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "ARTSCHOOL_FAULT"}
    return subprocess.run(
        [sys.executable, "-m", "artschool", "train", str(file), "--run-dir", str(file.parent / "run"), "--no-trace"],
        env={**environment, "OMP_NUM_THREADS": "1", **({"ARTSCHOOL_FAULT": fault} if fault else {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def final(folder: Path) -> Checkpoint:
    return CheckpointStore(folder / "run" / "checkpoints").load(20)


class Whole(NamedTuple):
    """A run that nobody has killed: its last checkpoint, and the iteration at each passage of a fault point."""

    checkpoint: Checkpoint
    passages: list[tuple[str, int]]

    def fault(self, point: str, iteration: int, number: int) -> str:
        """A kill at the nth passage of a point after an iteration. How many come before it depends on other files."""
        passed = [at for name, at in self.passages if name == point]
        return f"{point}:{passed.index(iteration) + number}=kill"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder, passages = tmp_path_factory.mktemp("whole"), list[tuple[str, int]]()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run = load(folder)
    recorded(run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fault_points, "fault_point", lambda name: passages.append((name, run.iteration)))
        run.train()
    torch.set_num_threads(threads)
    return Whole(final(folder), passages)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "left"),
    [
        pytest.param(("before_write", 10, 6), [5], marks=pytest.mark.soak),
        (("before_manifest", 10, 1), [5]),
        pytest.param(("before_fsync", 10, 1), [5], marks=pytest.mark.soak),
        pytest.param(("before_rename", 10, 1), [5], marks=pytest.mark.soak),
        pytest.param(("after_rename", 10, 1), [5, 10], marks=pytest.mark.soak),
        # What the amended checkpoint replaces, of seven files.
        pytest.param(("mid_rotate", 10, 3), [5, 10], marks=pytest.mark.soak),
        pytest.param(("mid_rotate", 15, 3), [10, 15], marks=pytest.mark.soak),
    ],
)
def test_a_kill_in_a_save_costs_nothing(
    tmp_path: Path, whole: Whole, place: tuple[str, int, int], left: list[int]
) -> None:
    """Over five seconds: the command starts twice, and each time imports torch. Most places are in `make soak`."""
    file = write(tmp_path)
    killed = train(file, whole.fault(*place))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert CheckpointStore(tmp_path / "run" / "checkpoints").numbers() == left
    resumed = train(file)
    assert resumed.returncode == 0, resumed.stderr
    assert f"resuming after iteration {left[-1]}" in resumed.stdout
    checkpoint = final(tmp_path)
    assert checkpoint.tensors.keys() == whole.checkpoint.tensors.keys()
    for name, tensors in whole.checkpoint.tensors.items():
        for key, value in tensors.items():
            assert torch.equal(checkpoint.tensors[name][key], value), f"{name}: {key}"
    leftovers = [path.name for path in (tmp_path / "run").rglob("*") if path.name.startswith(".")]
    assert leftovers == []


IN_BACKGROUND = """
import os, signal, sys
from pathlib import Path
from typing import NamedTuple
import torch
from artschool.storage.fault_points import FAULT_POINTS
from tests.engine.toy_run import Recorder, load

class Announced(Recorder):
    def advance(self, run):
        (run.folder / "next").write_text(str(run.saved_at))
        (run.folder / "next").replace(run.folder / "announced")

def forked(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print(f"{folder}: {error!r}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]

def train():
    run = load(folder, "checkpoint.background=true")
    run.loggers = [Announced()]
    run.train()

torch.set_num_threads(1)
folder = Path(sys.argv[1]) / "whole"
folder.mkdir()
assert forked(train) == 0
from artschool.storage.checkpoint_store import CheckpointStore
def final():
    return CheckpointStore(folder / "run" / "checkpoints").load(20)
whole = final()
faults = [f"{point}:{2 if point == 'before_manifest' else 7}=kill" for point in FAULT_POINTS]
for fault in faults:
    folder = Path(sys.argv[1]) / fault
    folder.mkdir()
    os.environ["ARTSCHOOL_FAULT"] = fault
    assert forked(train) == signal.SIGKILL, fault
    del os.environ["ARTSCHOOL_FAULT"]
    store, announced = CheckpointStore(folder / "run" / "checkpoints"), folder / "run" / "announced"
    saved = int(announced.read_text()) if announced.exists() else 0
    newest = store.newest_valid(lambda message: sys.exit(message)) or 0
    assert newest >= saved, (fault, newest, saved)
    assert forked(train) == 0, fault
    found = final()
    for name, tensors in whole.tensors.items():
        for key, value in tensors.items():
            assert torch.equal(found.tensors[name][key], value), (fault, name, key)
    assert not list((folder / "run").rglob(".*")), fault
print(len(faults), "kills")
"""


@pytest.mark.soak
def test_a_kill_while_a_thread_writes_loses_nothing_that_was_announced(tmp_path: Path) -> None:
    """Half a minute: a kill at each fault point, with a run before and after it, forked by one process."""
    done = subprocess.run(
        [sys.executable, "-c", IN_BACKGROUND, str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 kills" in done.stdout
