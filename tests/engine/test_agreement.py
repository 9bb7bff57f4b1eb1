"""Machines that do not have the same: each process runs in a folder of its own, as on a machine of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from artschool.engine.together import require_same
from artschool.errors import DataError
from artschool.storage.checkpoint_store import CheckpointStore
from tests.engine.test_ending import exit_codes
from tests.engine.test_ranks import PLAIN, PLUGIN_FOLDERS
from tests.engine.toy_run import write

PLUGIN = """
import os
from artschool.engine import run_folder
from artschool.registry import datasets
from tests.engine.toy_run import Pairs

run_folder.SHARED_AFTER_S = 1

@datasets.register("own_pairs")
class OwnPairs(Pairs):
    def __init__(self, length=8):
        super().__init__(length + int(os.environ["RANK"]) * ("LONGER" in os.environ))
"""


def train(folder: Path, *options: str, **environment: str) -> tuple[int, str]:
    """Start two processes, each in its folder, and wait for them."""
    command = f'cd node$RANK && exec "{sys.executable}" -m artschool train toy.yml --no-trace {" ".join(options)}'
    result = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python",
            "bash", "-c", command,
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False, cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PLUGIN_FOLDERS, **environment},
    )  # fmt: skip
    return result.returncode, result.stdout


def write_nodes(folder: Path, *options: str) -> None:
    for rank in range(2):
        node = folder / f"node{rank}"
        node.mkdir()
        (node / "own.py").write_text(PLUGIN)
        overrides = ("plugins=[own.py]", "data.train={type: own_pairs, length: 40, batch_size: 8}")
        write(node, *PLAIN, "train.iterations=4", "checkpoint.every=2", *overrides, *options)


@pytest.mark.slow
def test_another_file_on_a_rank_is_refused(tmp_path: Path) -> None:
    """Over five seconds: two processes import torch."""
    write_nodes(tmp_path)
    write(tmp_path / "node1", *PLAIN, "steps.gen.optimizer.lr=3e-3", "plugins=[own.py]")
    (tmp_path / "node1" / "own.py").write_text(PLUGIN + "# Another version.\n")
    code, output = train(tmp_path)
    assert code != 0
    assert "rank 1 does not have the same as rank 0:\n" in output
    assert "file.steps.gen.optimizer.lr: 0.002 -> 0.003\n" in output
    assert "code.own.py: " in output
    assert "Fix: use the same file, code and environment on all machines" in output
    assert exit_codes(output) == [2, 2]
    assert not list(tmp_path.glob("node*/runs"))


@pytest.mark.soak
@pytest.mark.parametrize(
    ("environment", "options", "expected", "exit_code"),
    [
        ({"LONGER": "1"}, (), "data.train.samples: 40 -> 41", 3),
        ({}, (), "rank 1: runs/toy on ", 5),
        ({}, ("--run-dir", "../runs/$RANK"), "rank 1: ../runs/1 on ", 5),
    ],
)
def test_other_data_or_another_folder_is_refused(
    tmp_path: Path, environment: Mapping[str, str], options: tuple[str, ...], expected: str, exit_code: int
) -> None:
    """Runs in the soak: two processes import torch, three times."""
    write_nodes(tmp_path)
    code, output = train(tmp_path, *options, **environment)
    assert code != 0
    assert expected in output, output
    assert exit_codes(output) == [exit_code] * 2
    assert not list(tmp_path.rglob("checkpoints"))


@pytest.mark.soak
def test_rank_0_decides_what_a_run_resumes_from(tmp_path: Path) -> None:
    """Runs in the soak: two processes import torch, three times."""
    write_nodes(tmp_path)
    code, output = train(tmp_path, "--run-dir", "../runs")
    assert code == 0, output
    assert CheckpointStore(tmp_path / "runs" / "checkpoints").numbers() == [2, 4]
    (tmp_path / "node0" / "runs").mkdir()
    (tmp_path / "runs").rename(tmp_path / "node0" / "runs" / "toy")
    code, output = train(tmp_path, "train.iterations=6")
    assert code != 0
    assert "rank 1: " in output
    assert "Rank 0 has chosen this checkpoint" in output
    assert exit_codes(output) == [6, 6]
    (tmp_path / "node0" / "runs").rename(tmp_path / "node1" / "runs")
    code, output = train(tmp_path, "train.iterations=6")
    assert code != 0
    assert "is not the folder that rank 0 writes to" in output


def test_one_process_agrees_with_itself() -> None:
    require_same({"samples": 3}, DataError)


def test_all_differences_of_a_rank_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    others: list[dict[str, Any]] = [{"a": {"b": 1}, "c": 2}, {"a": {"b": 1}, "c": 2}, {"a": {"b": 3}}]
    monkeypatch.setattr("artschool.ranks.gather", lambda value: others)
    with pytest.raises(DataError) as error:
        require_same(others[0], DataError)
    assert str(error.value) == "rank 2 does not have the same as rank 0:\n    a.b: 1 -> 3\n    c: 2 -> (not set)"
