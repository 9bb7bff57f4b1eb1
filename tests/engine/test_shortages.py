"""Limits of the machine that are reached outside of steps: exit code 5, what was done, and what to write."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from artschool.shortages import shortage_of
from tests.engine.forked import ROOT
from tests.reports.small import SUPER_RESOLUTION, artschool, write_images

pytestmark = pytest.mark.usefixtures("registries")

PLUGIN = '''
from pathlib import Path

import torch
from torch import Tensor, nn

from artschool.registry import callbacks, datasets, metrics, networks


def all_memory() -> Tensor:
    return torch.zeros(1 << 55)


@metrics.register("hungry")
def hungry(x: Tensor) -> Tensor:
    """(B, ...) to (B,)."""
    return all_memory()


class Hungry(nn.Module):
    """(B, C, H, W) to (B, C, 2H, 2W)."""

    def __init__(self, where: str = "") -> None:
        super().__init__()
        self.where, self.layer = where, nn.Conv2d(3, 12, 3, padding=1)
        if where == "init":
            all_memory()

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pixel_shuffle(self.layer(x), 2)

    def visual_dbg(self, step: int, folder: Path) -> None:
        if self.where == "images":
            all_memory()

    def get_debug_values(self, step: int, name: str) -> dict[str, float]:
        return {"x": float(all_memory()[0])} if self.where == "numbers" else {}

    def get_extra_state(self) -> Tensor:
        return all_memory() if self.where == "save" and self.training else torch.zeros(1)

    def set_extra_state(self, state: Tensor) -> None:
        pass


networks.register("hungry_network")(Hungry)
'''
FIX = "    Fix: end other programs, or choose smaller networks, samples or batches"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "pics", 4)
    write_images(tmp_path / "held", 3)
    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "sr.yml").write_text(SUPER_RESOLUTION + "plugins: [plugin.py]\nlog: {every: 2}\n")
    return tmp_path


ENV = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))}
METRIC = "evaluate.v.metrics.memory={type: hungry, in: sr}"
OF_EVALUATION = """evaluate.v: batch 1 of 2: out of memory: [enforce fail at alloc_cpu.cpp"""


def test_an_evaluation_names_its_batch_and_training_goes_on(folder: Path) -> None:
    code, text = artschool("train", "sr.yml", "--no-trace", METRIC, "evaluate.v.every=2")
    assert (code, text.count("warning: evaluate.v failed after iteration 2: " + OF_EVALUATION)) == (5, 1), text
    error = text[text.rindex("\n" + OF_EVALUATION) + 1 :].splitlines()
    assert error[1].startswith("    in ") and error[1].endswith(": evaluate.v.metrics.memory")
    assert error[2:] == [
        "    lq: (2, 3, 20, 24) float32 on cpu",
        "    hq: (2, 3, 40, 48) float32 on cpu",
        "    name: a list of 2, each str",
        "    corruption_entropy: (2, 0) float32 on cpu",
        "    samples of data.val: 0 name '000.png', 1 name '001.png'",
        "    Fix: try a smaller `data.val.batch_size`, `train.precision: bf16`, or smaller networks or samples",
        "A checkpoint is saved after iteration 4. To resume, run the same command again",
    ]
    assert [path.name for path in Path("runs/sr/checkpoints").iterdir()] == ["00000004"]
    code, text = artschool("eval", "sr.yml", METRIC)
    assert (code, text.count(OF_EVALUATION)) == (5, 1), text


def test_an_evaluation_ends_the_run_where_a_policy_says_so(folder: Path) -> None:
    code, text = artschool("train", "sr.yml", "--no-trace", METRIC, "evaluate.v.every=2", "train.on_look_error=stop")
    assert (code, OF_EVALUATION in text, "after iteration 2. To resume" in text) == (5, True, True), text


@pytest.mark.parametrize(
    ("where", "what", "saved"),
    [
        ("images", "log.pictures: out of memory: ", ["00000004"]),
        ("numbers", "a number of the log: out of memory: ", ["00000004"]),
        ("save", "", []),
        ("init", "", []),
    ],
)
def test_other_parts(folder: Path, where: str, what: str, saved: list[str]) -> None:
    network = f"networks.gen={{type: hungry_network, where: {where}}}"
    pictures = "log.pictures={every: 2, keys: [sr]}"
    code, text = artschool("train", "sr.yml", "--no-trace", network, pictures, "train.on_look_error=continue")
    assert (code, what + "out of memory: " in text or what in text, FIX in text) == (5, True, True), text
    assert "Traceback" not in text
    assert [path.name for path in Path("runs/sr/checkpoints").glob("*")] == saved


COPY = """
import resource, sys
from pathlib import Path
import torch
from torch import nn
from artschool.registry import networks
from tests.engine import toy_run

class Large(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = toy_run.run_generator()
        self.large = nn.Parameter(torch.zeros(50 << 20))

    def forward(self, x):
        return self.layer(x)

networks.register("large")(Large)
OPTIONS = ("networks.gen={type: large, frozen: [large]}", "checkpoint.background=true", "ema={networks: []}")
run = toy_run.load(Path(sys.argv[1]), *OPTIONS, "evaluate={}")
recorder = toy_run.recorded(run)

def limit(iteration, folder):
    if iteration == 4:
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (150 << 20), resource.RLIM_INFINITY))

run.update_hooks.append(limit)
run.train()
print(run.store.numbers(), *recorder.notes, sep="\\n")
"""


@pytest.mark.soak
def test_a_save_in_the_background_needs_no_memory_for_a_copy(tmp_path: Path) -> None:
    """200 MB of state, and 150 MB of memory, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", COPY, str(tmp_path)],
        capture_output=True, text=True, timeout=100, check=False, cwd=ROOT,
        # Or the C library reserves 64 MB of addresses for each thread that happens to need memory at the same time.
        env={**ENV, "MALLOC_ARENA_MAX": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[15, 20]"]


FEW_PROCESSES = """
import os, resource
from tests.reports.small import artschool

first = artschool("train", "sr.yml", "--run-dir", "first")
if os.getuid() == 0:
    os.setuid(54321)  # The administrator has no limit.
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
for options in (), ("--no-trace",):
    print(*artschool("train", "sr.yml", "--run-dir", "second", *options), "END")
"""


@pytest.fixture
def open_folder(folder: Path) -> Iterator[Path]:
    """The same, for every user: pytest closes the folders above its own ones to others, each time that it starts."""
    with tempfile.TemporaryDirectory() as name:
        copied = shutil.copytree(folder, Path(name) / "open")
        for path in (copied.parent, copied):
            path.chmod(0o777)
        yield copied


@pytest.mark.soak
def test_the_limit_of_processes_is_reached(open_folder: Path) -> None:
    """A real limit, in a process of its own, which has imported everything before: the trace forks, and a lock has a
    thread."""
    done = subprocess.run(
        [sys.executable, "-c", FEW_PROCESSES],
        capture_output=True, text=True, timeout=100, check=False, cwd=open_folder, env=ENV,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for text, problem in zip(done.stdout.split("END")[:2], ("Resource temporarily", "can't start new"), strict=True):
        assert text.split()[0] == "5", text
        assert "the limit of processes and threads is reached (`ulimit -u` is 1" in text and problem in text
        assert "Fix: raise it, or set fewer `workers` and OMP_NUM_THREADS=1" in text


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "the limit of processes and threads"),
        (BlockingIOError(errno.EAGAIN, "write could not complete without blocking"), ""),
        (RuntimeError("can't start new thread"), "the limit of processes and threads"),
        (OSError(errno.EMFILE, "Too many open files"), "too many open files"),
        (OSError(errno.ENOENT, "No such file or directory"), ""),
        (RuntimeError("boom"), ""),
    ],
)
def test_what_a_limit_of_the_machine_is(error: Exception, name: str) -> None:
    found = shortage_of(error)
    assert (found.name if found else "").startswith(name) and bool(found) == bool(name)
