"""A real SIGKILL in the middle of a save, then the same command: the weights of the uninterrupted run, bit by bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from artschool.storage.checkpoint_files import Checkpoint
from artschool.storage.checkpoint_store import CheckpointStore
from tests.engine.toy_run import load, recorded, write


def train(file: Path, fault: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "ARTSCHOOL_FAULT"}
    return subprocess.run(
        [sys.executable, "-m", "artschool", "train", str(file), "--run-dir", str(file.parent / "run")],
        env={**environment, "OMP_NUM_THREADS": "1", **({"ARTSCHOOL_FAULT": fault} if fault else {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def final(folder: Path) -> Checkpoint:
    return CheckpointStore(folder / "run" / "checkpoints").load(20)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("whole")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run = load(folder)
    recorded(run)
    run.train()
    torch.set_num_threads(threads)
    return final(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "left"),
    [
        ("before_write:12=kill", [5]),
        ("before_manifest:2=kill", [5]),
        ("before_fsync:4=kill", [5]),
        ("before_rename:4=kill", [5]),
        ("after_rename:4=kill", [5, 10]),
        ("mid_rotate:3=kill", [5, 10]),  # What the amended checkpoint replaces, of seven files.
        ("mid_rotate:10=kill", [10, 15]),
    ],
)
def test_a_kill_in_a_save_costs_nothing(tmp_path: Path, uninterrupted: Checkpoint, fault: str, left: list[int]) -> None:
    """Over five seconds: the command starts twice, and each time imports torch."""
    file = write(tmp_path)
    killed = train(file, fault)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert CheckpointStore(tmp_path / "run" / "checkpoints").numbers() == left
    resumed = train(file)
    assert resumed.returncode == 0, resumed.stderr
    assert f"resuming after iteration {left[-1]}" in resumed.stdout
    checkpoint = final(tmp_path)
    assert checkpoint.tensors.keys() == uninterrupted.tensors.keys()
    for name, tensors in uninterrupted.tensors.items():
        for key, value in tensors.items():
            assert torch.equal(checkpoint.tensors[name][key], value), f"{name}: {key}"
    leftovers = [path.name for path in (tmp_path / "run").rglob("*") if path.name.startswith(".")]
    assert leftovers == []
