"""Two machines with disks that are not the same. Each test starts real processes, so that all run in the soak."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from artschool.storage.checkpoint_store import CheckpointStore
from tests.engine import test_rollback, toy_run
from tests.engine.test_ranks import PLUGIN_FOLDERS, finish

ROLLBACK = test_rollback.TEXT.replace("PLUGIN", str(Path(__file__).with_name("own_disk.py").resolve()))
WEIGHTS = ("networks.gen={type: toy_plain_generator, weights: gen.pt}", "train.iterations=3", "evaluate={}")


def train(folder: Path) -> tuple[int, str]:
    """Train `rank<N>/toy.yml` with two processes, each on its own disk."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
            "-m", "tests.engine.own_disk", "train", "toy.yml", "--run-dir", "run",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PLUGIN_FOLDERS},
    )  # fmt: skip
    return finish(process, 120)


def disks(folder: Path, *options: str, text: str = toy_run.TEXT, shared: bool = True) -> list[Path]:
    """Two disks with the same file, and by default one run folder, as the link of a shared disk."""
    first, second = found = [folder / "rank0", folder / "rank1"]
    for disk in found:
        disk.mkdir()
        toy_run.write(disk, *options, text=text)
    if shared:
        (first / "run").mkdir()
        (second / "run").symlink_to(first / "run")
    return found


def start(value: float) -> dict[str, torch.Tensor]:
    """Weights of the generator, all with one value."""
    return {name: torch.full_like(tensor, value) for name, tensor in toy_run.plain_generator().state_dict().items()}


@pytest.mark.soak
def test_a_folder_that_only_rank_0_can_read_is_refused(tmp_path: Path) -> None:
    """Rank 1 would have no checkpoint to return to, and train on from other weights than rank 0."""
    disks(tmp_path, text=ROLLBACK, shared=False)
    code, output = train(tmp_path)
    assert code != 0
    assert "rank 1: run on" in output and "is not the folder that rank 0 writes to" in output, output
    assert not (tmp_path / "rank0" / "run" / "checkpoints").exists()
    assert not (tmp_path / "rank1" / "run").exists()


@pytest.mark.soak
def test_a_rollback_that_both_can_read_goes_on(tmp_path: Path) -> None:
    """The same with a run folder that both see."""
    first, _ = disks(tmp_path, text=ROLLBACK)
    code, output = train(tmp_path)
    assert code == 0, output
    assert "(rollback 1 of 3)" in output
    assert CheckpointStore(first / "run" / "checkpoints").numbers()[-1] == 8


@pytest.mark.soak
def test_weights_are_those_of_rank_0(tmp_path: Path) -> None:
    """Rank 1 has another file under the same name: both must begin with one set of weights."""
    first, second = disks(tmp_path, *WEIGHTS)
    torch.save(start(0.1), first / "gen.pt")
    torch.save(start(0.1), second / "gen.pt")
    code, output = train(tmp_path)
    assert code == 0, output
    same = CheckpointStore(first / "run" / "checkpoints").load(3)
    (tmp_path / "other").mkdir()
    first, second = disks(tmp_path / "other", *WEIGHTS)
    torch.save(start(0.1), first / "gen.pt")
    torch.save(start(0.9), second / "gen.pt")
    code, output = train(tmp_path / "other")
    if code:  # Refused at the start, which is as good.
        assert "gen.pt" in output, output
        return
    other = CheckpointStore(first / "run" / "checkpoints").load(3)
    for name, value in same.tensors["gen"].items():
        assert torch.equal(value, other.tensors["gen"][name]), name


@pytest.mark.soak
def test_weights_that_a_machine_lacks_end_all(tmp_path: Path) -> None:
    """The other process must not wait for the one that does not start."""
    first, _ = disks(tmp_path, *WEIGHTS)
    torch.save(start(0.1), first / "gen.pt")
    code, output = train(tmp_path)
    assert code != 0
    assert "gen.pt" in output and "does not exist" in output, output
