"""A process that the code of a component forks does not train."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reports.small import one_step

ROOT = Path(__file__).parents[2]
TRAIN = """
import os, sys
from pathlib import Path
from tests.engine import toy_parts
from tests.engine.toy_parts import Samples, Shift

where, workers = sys.argv[2], sys.argv[3]
owner = {"sample": Samples, "network": Shift}[where]
name = {"sample": "__getitem__", "network": "forward"}[where]
method = getattr(owner, name)

def forking(self, value):
    if os.fork():
        os.wait()
    return method(self, value)

setattr(owner, name, forking)
run, _ = toy_parts.load(Path(sys.argv[1]), f"data.train.workers={workers}")
run.train()
with (Path(sys.argv[1]) / "ends").open("a") as file:
    file.write(f"{run.iteration}\\n")
"""


@pytest.mark.parametrize(("where", "workers"), [("sample", 0), ("sample", 1), ("network", 0)])
def test_a_forked_process_does_not_train(tmp_path: Path, where: str, workers: int) -> None:
    path = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    arguments = [sys.executable, "-c", TRAIN, str(tmp_path), where, str(workers)]
    done = subprocess.run(
        arguments, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ends").read_text() == "4\n"
    code = "data.train: the code of sample 0" if where == "sample" else "the code of a component"
    assert f"{code} has forked a copy of this process, which is ended. Fix: end it with os._exit" in done.stderr


PLUGIN = """
import os
import torch
from torch import nn
from artschool import datasets, losses, metrics, networks

WHERE = os.environ.get("FORKS_IN", "")

def fork(where):
    global WHERE
    if where == WHERE:
        WHERE = ""
        if os.fork():
            os.wait()

fork("import")

@datasets.register
class Numbers:
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {"x": torch.full((2,), float(index)), "target": torch.zeros(2)}

@networks.register
class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        fork("construction")
        self.layer = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fork("call" if torch.is_grad_enabled() else "evaluation")
        return self.layer(x)

@metrics.register
class Forking(nn.Module):
    def __init__(self) -> None:
        super().__init__()

    def update(self, x: torch.Tensor) -> None:
        self.total = x.sum()

    def compute(self):
        fork("metric")
        return self.total

    def reset(self):
        pass
"""
EVALUATE = """
evaluate:
  held:
    data: train
    injectors: {y: {type: forward, network: net, in: x, out: y}}
    metrics: {total: {type: forking, in: y}}
"""
CODE = "the code of a component"


@pytest.fixture(scope="module")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run of a file whose components fork where they are told to."""
    folder = tmp_path_factory.mktemp("forking")
    (folder / "parts.py").write_text(PLUGIN)
    text = one_step("forking", plugin="parts.py", data="numbers", network="layer", loss="l1, in: [y, target]")
    (folder / "forking.yml").write_text(text + EVALUATE)
    done = command(folder, "", "train", "forking.yml")
    assert done.returncode == 0, done.stderr
    return folder


def command(folder: Path, where: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "artschool", *arguments],
        capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "FORKS_IN": where},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("where", "code", "arguments"),
    [
        ("import", "plugin 'parts.py'", ("eval", "forking.yml")),
        ("construction", "networks.net", ("eval", "forking.yml")),
        ("metric", "evaluate.held", ("eval", "forking.yml")),
        ("evaluation", CODE, ("sample", "runs/forking", "x=[1,2]", "-o", "sampled")),
        ("evaluation", CODE, ("train", "forking.yml", "--run-dir", "other", "--no-trace")),
        ("evaluation", CODE, ("export", "runs/forking", "-o", "exported")),
    ],
)
def test_a_forked_process_does_not_go_on_with_a_command(
    forking: Path, where: str, code: str, arguments: tuple[str, ...]
) -> None:
    done = command(forking, where, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("has forked a copy of this process") == 1
    assert f"{code} has forked a copy of this process, which is ended. Fix: end it with os._exit" in done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(set(lines)), "a second process has printed the result"
    if arguments[0] == "eval":
        assert len(lines) == 1
