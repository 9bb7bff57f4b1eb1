"""The recipes and the published trainings on a CUDA device."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch

import artschool
from artschool import ranks
from artschool.engine.run_state import RunState
from tests.engine.toy_run import Recorder
from tests.gpu.marks import WATCHED

ROOT = Path(__file__).parents[2]
FILES = sorted((*ROOT.glob("recipes/*.yml"), *ROOT.glob("tests/famous/*.yml")))
WAITS = {
    "cyclegan": "its pool of images grows",
    "photo_cyclegan": "its pool of images grows",
    "speech_ctc": "CTC reads the lengths",
}

pytestmark = [*WATCHED, pytest.mark.usefixtures("registries", "beside_the_corpus")]


class Watch(Recorder):
    """Lets torch raise an error where it waits for the device in all iterations but the first two and the last one."""

    def __init__(self, mode: str, first: int) -> None:
        super().__init__()
        self._mode, self._first = mode, first

    def advance(self, run: RunState) -> None:
        is_watched = 2 <= run.iteration - self._first < 7
        torch.cuda.set_sync_debug_mode(self._mode if is_watched else "default")


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_training_waits_for_nothing(file: Path, tmp_path: Path) -> None:
    if "adapters:" in file.read_text():
        pytest.importorskip("peft")
    train_watched(file, tmp_path)


def train_watched(file: Path, folder: Path, *options: str) -> None:
    """Train some iterations, in which torch raises an error where it waits for the device."""
    # From where everything that begins late has begun.
    first = max(map(int, re.findall(r"after: (\d+)", file.read_text())), default=0)
    rare = (f"train.start_iteration={first}", f"train.iterations={first + 8}", "log.every=1000", "log.pictures=null")
    overrides = ("train.device=cuda", *rare, "checkpoint={every: 1000}", *options)
    run = artschool.load(file, overrides, run_dir=folder / "run")
    watch = Watch("default" if file.stem in WAITS else "error", first)
    run.loggers = [watch]
    try:
        run.train()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    record = watch.records[-1] if ranks.is_main() else {}  # With the evaluations, which may wait.
    assert all(map(math.isfinite, (value for value in record.values() if isinstance(value, float))))
