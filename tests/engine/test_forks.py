"""A process that the code of a component forks does not train."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert f"{code} has forked a process, which does not train and is ended. Fix: end it with os._exit" in done.stderr
