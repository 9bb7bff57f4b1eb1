"""Several machines, as several launchers on this one, and processes that die. Each test starts real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from artschool.storage.checkpoint_store import Checkpoint, CheckpointStore
from tests.engine.test_ranks import PLAIN, PLUGIN_FOLDERS, finish, launch
from tests.engine.toy_run import write

SCRIPT = Path(__file__).parents[2] / "examples" / "torchrun.sh"
SLOW = "data.train.type=slow_pairs"
PLUGIN = """
import time
from artschool.registry import datasets
from tests.engine.toy_run import Pairs

@datasets.register("slow_pairs")
class SlowPairs(Pairs):
    def __getitem__(self, index):
        time.sleep(0.01)
        return super().__getitem__(index)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def machines(folder: Path, file: Path, number: int, processes: int) -> list[subprocess.Popen[str]]:
    """Start the script of the examples as each of some machines does."""
    variables = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": PLUGIN_FOLDERS,
        "OMP_NUM_THREADS": "1",
        "PET_LOCAL_ADDR": "127.0.0.1",  # The name of this machine may lead nowhere.
        "FILE": str(file),
        "RUN_DIR": str(folder / "run"),
        "NODES": str(number),
        "ENDPOINT": f"127.0.0.1:{free_port()}",
        "PROCESSES": str(processes),
    }
    return [
        subprocess.Popen(
            ["bash", str(SCRIPT)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **variables},
        )
        for _ in range(number)
    ]


def last(folder: Path) -> Checkpoint:
    return CheckpointStore(folder / "run" / "checkpoints").load(20)


def assert_same(one: Checkpoint, other: Checkpoint) -> None:
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensors in one.tensors.items():
        for key, value in tensors.items():
            torch.testing.assert_close(value, other.tensors[name][key], rtol=0, atol=0)


def normal(tmp_path: Path) -> Checkpoint:
    """The end of a run of two processes of one launcher, without any trouble."""
    folder = tmp_path / "normal"
    folder.mkdir()
    code, output = finish(launch(folder, write(folder, *PLAIN), 2), 180)
    assert code == 0, output
    return last(folder)


@pytest.mark.soak
def test_two_machines_give_the_weights_of_one(tmp_path: Path) -> None:
    """Runs in the soak: six processes import torch."""
    expected = normal(tmp_path)
    results = [finish(process, 180) for process in machines(tmp_path, write(tmp_path, *PLAIN), 2, 1)]
    assert [code for code, _ in results] == [0, 0], results
    assert last(tmp_path).manifest.world_size == 2
    assert_same(last(tmp_path), expected)


@pytest.mark.soak
def test_a_run_survives_a_killed_process(tmp_path: Path) -> None:
    """Runs in the soak: eight processes import torch."""
    expected = normal(tmp_path)
    (tmp_path / "slow.py").write_text(PLUGIN)
    file = write(tmp_path, *PLAIN, SLOW, f"plugins=[{tmp_path / 'slow.py'}]")
    (launcher,) = machines(tmp_path, file, 1, 2)
    deadline = time.monotonic() + 120
    while not CheckpointStore(tmp_path / "run" / "checkpoints").numbers():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(workers(launcher.pid)[1], signal.SIGKILL)
    code, output = finish(launcher, 180)
    assert code == 0, output
    assert "resuming after iteration" in output
    assert_same(last(tmp_path), expected)


def workers(launcher: int) -> list[int]:
    """The processes that a launcher has started."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return [int(child) for child in children]
