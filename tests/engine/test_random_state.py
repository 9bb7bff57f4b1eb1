"""Iterations that draw from the generators of Python and NumPy, always, sometimes or late, resume to the same bits."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from artschool.engine.run import Run
from artschool.engine.run_state import RunState
from artschool.errors import Stopped
from artschool.registry import datasets, networks
from tests.engine.toy_run import Recorder, StopAfter, fingerprint, load, recorded

WHEN: Mapping[str, Callable[[int], bool]] = {
    "always": lambda call: True,
    "never": lambda call: False,
    "late": lambda call: call >= 9,
    "once": lambda call: call == 9,
    "sometimes": lambda call: call in (4, 9, 10, 15),
}
DRAWS: Mapping[str, Callable[[], float]] = {"python": random.random, "numpy": np.random.random_sample}


class Random(nn.Module):
    """Multiplies its input by a random number in some of its calls."""

    calls: Tensor

    def __init__(self, when: str, source: str) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self._is_drawn = WHEN[when]
        self._draw = DRAWS[source]

    def forward(self, x: Tensor) -> Tensor:
        call = int(self.calls)
        self.calls += 1
        return x * self.scale * (self._draw() if self._is_drawn(call) else 1.0)


@networks.register("draws_at_times")
def draws_at_times(when: str, source: str) -> nn.Module:
    """Of any shape to the same shape."""
    return Random(when, source)


class Row(TypedDict):
    """A sample."""

    x: Tensor


@datasets.register("rows_that_draw")
class Rows:
    """Eight rows, to which numbers of Python are added if asked."""

    def __init__(self, draws: bool = False) -> None:
        self._draws = draws

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Row:
        return {"x": torch.full((3,), index + 1.0 + (random.random() if self._draws else 0.0))}


TEXT = """
name: toy
data: {train: {type: rows_that_draw, batch_size: 2}}
networks: {net: {type: draws_at_times, when: WHEN, source: SOURCE}}
steps:
  main:
    trains: net
    optimizer: {type: sgd, lr: 1e-2}
    injectors: {call: {type: forward, network: net, in: x, out: y}}
    losses: {l2: {type: l2, in: [y, x], weight: 1.0}}
train: {iterations: 20, device: cpu}
log: {every: 3}
checkpoint: {every: 5}
"""


def prepared(folder: Path, when: str, source: str, *overrides: str) -> Run:
    folder.mkdir(exist_ok=True)
    run = load(folder, *overrides, text=TEXT.replace("WHEN", when).replace("SOURCE", source))
    recorded(run)
    return run


def stopped_and_resumed(folder: Path, when: str, source: str, stops: list[int], *overrides: str) -> Run:
    for stop in stops:
        run = prepared(folder, when, source, *overrides)
        run.loggers = [StopAfter(stop)]
        with pytest.raises(Stopped):
            run.train()
    return prepared(folder, when, source, *overrides).train()


@pytest.mark.parametrize("source", ["python", "numpy"])
@pytest.mark.parametrize("when", WHEN)
def test_a_resumed_run_draws_the_numbers_of_the_uninterrupted_one(tmp_path: Path, when: str, source: str) -> None:
    whole = fingerprint(stopped_and_resumed(tmp_path / "whole", when, source, []))
    for stops in ([1], [5, 10], [9], [7, 11, 17]):
        folder = tmp_path / "-".join(map(str, stops))
        assert fingerprint(stopped_and_resumed(folder, when, source, stops)) == whole, stops


@pytest.mark.parametrize("overrides", [["data.train.workers=2"], ["data.train.draws=true", "data.train.workers=2"]])
@pytest.mark.parametrize("when", ["late", "sometimes"])
def test_reading_samples_changes_no_number_of_an_iteration(tmp_path: Path, when: str, overrides: list[str]) -> None:
    alone = [override for override in overrides if "workers" not in override]
    here = fingerprint(stopped_and_resumed(tmp_path / "here", when, "python", [], *alone))
    assert fingerprint(stopped_and_resumed(tmp_path / "there", when, "python", [8], *overrides)) == here


class Disturbance(Recorder):
    """Draws and seeds between two iterations."""

    def advance(self, run: RunState) -> None:
        random.random()
        np.random.seed(0)


@pytest.mark.parametrize("source", ["python", "numpy"])
def test_what_draws_between_two_iterations_changes_no_number_of_them(tmp_path: Path, source: str) -> None:
    whole, disturbed = (prepared(tmp_path / name, "late", source) for name in ("whole", "disturbed"))
    disturbed.loggers = [Disturbance()]
    assert fingerprint(disturbed.train()) == fingerprint(whole.train())
