"""A batch with NaN or overflow leaves nothing behind: no running statistic, queue or average keeps it."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from artschool.engine.kept_buffers import KeptBuffers
from artschool.engine.run import Run
from artschool.engine.run_state import RunState
from tests.engine import toy_run
from tests.engine.toy_run import Recorder

BAD = 7
"""The iteration with the bad batch, of which both steps train on."""


def spoiled(folder: Path, value: float, *overrides: str) -> Run:
    """A toy run of which the pictures of one batch contain a value."""
    run = toy_run.load(folder, "train.iterations=10", "checkpoint.every=100", *overrides)
    named = run.streams._parts

    def spoil(loaded: Any) -> Any:
        parts = named(loaded)
        if run.iteration == BAD - 1 and value != 0:
            for tensor in (parts["train"].values["lq"], parts["train"].values["hq"]):
                tensor[3] = value
        return parts

    run.streams._parts = spoil  # type: ignore[method-assign]
    return run


class Watch(Recorder):
    """Copies all buffers after every iteration."""

    def __init__(self) -> None:
        super().__init__()
        self.buffers: list[dict[str, Tensor]] = []

    def advance(self, run: RunState) -> None:
        modules = {**run.networks, **{ema.name: ema.module for ema in run.emas.values()}}
        named = {f"{owner}.{n}": b.clone() for owner, module in modules.items() for n, b in module.named_buffers()}
        self.buffers.append(named)


def finite(run: Run) -> bool:
    modules = [*run.networks.values(), *(ema.module for ema in run.emas.values())]
    return all(t.isfinite().all() for m in modules for t in (*m.parameters(), *m.buffers()) if t.is_floating_point())


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e38])
def test_buffers_of_a_skipped_batch_are_those_before_it(tmp_path: Path, value: float) -> None:
    run = spoiled(tmp_path, value)
    watch = Watch()
    run.loggers = [watch]
    run.train()
    before, after, later = (watch.buffers[index] for index in (BAD - 1, BAD, BAD + 1))
    assert "gen.1.running_mean" in before
    for name, buffer in before.items():
        torch.testing.assert_close(after[name], buffer, rtol=0, atol=0)
        assert (later[name] != buffer).any(), name
    assert finite(run)


def test_it_is_told_at_the_next_log_point_and_recorded(tmp_path: Path) -> None:
    run = spoiled(tmp_path, math.nan)
    recorder = Recorder()
    run.loggers = [recorder]
    run.train()
    told = [note for note in recorder.notes if "NaN" in note]
    assert told == [
        f"warning: steps.{step}: NaN or infinite gradients in iteration {BAD - 1}. The update is skipped; weights, "
        "buffers and averages stay as before it"
        for step in ("gen", "critic")
    ]
    incident = json.loads((tmp_path / "run" / "incidents" / "00000006-nan" / "incident.json").read_text())
    assert (incident["step"], incident["iteration"], incident["checkpoint"]) == ("gen", BAD - 1, None)
    assert incident["samples"]["train"]["indices"] == [place.sample for place in run.data.batches.whole(BAD - 1)]


def test_no_average_takes_in_weights_that_are_not_numbers(tmp_path: Path) -> None:
    run = spoiled(tmp_path, math.nan, "train.non_finite=ignore", "ema.decay=0.2")
    run.train()
    assert not run.networks["gen"].get_parameter("0.weight").isfinite().all()
    assert all(t.isfinite().all() for m in run.emas.values() for t in (*m.module.parameters(), *m.module.buffers()))
    assert all(buffer.isfinite().all() for buffer in run.networks["gen"].buffers())


def test_the_last_sound_checkpoint_stays_and_the_others_are_marked(tmp_path: Path) -> None:
    overrides = ("train.non_finite=ignore", "checkpoint.every=1", "checkpoint.keep_last=2", "log.every=1")
    run = spoiled(tmp_path, math.nan, *overrides)
    recorder = Recorder()
    run.loggers = [recorder]
    run.train()
    marks = {number: run.store.verify(number).non_finite for number in run.store.numbers()}
    assert list(marks) == [6, 9, 10]  # Two, and the newest sound one.
    assert marks[6] == ""
    assert marks[9] == marks[10] != ""
    assert marks[9].startswith("gen.0.weight and ")
    assert "after 7 iterations is not sound: gen.0.weight and " in next(n for n in recorder.notes if "sound" in n)
    # The mark stays when the state is amended, as after the last evaluation.
    assert "held_out/psnr" in run.last_evaluation


class Stateful(nn.Module):
    """Writes to its buffers in every way that code does."""

    mean: Tensor
    replaced: Tensor
    grown: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("replaced", torch.zeros(2))
        self.register_buffer("grown", torch.zeros(0))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mask", torch.tensor([0.0, -math.inf]))

    def forward(self, x: Tensor) -> None:
        self.mean.add_(x)
        self.replaced = self.replaced + x
        self.grown = torch.cat([self.grown, x])
        self.count += 1
        if "late" not in self._buffers:
            self.register_buffer("late", x.clone())


@pytest.mark.parametrize("flag", [None, torch.tensor(0.0), torch.tensor(1.0)])
def test_every_kind_of_buffer_is_restored_with_the_others(flag: Tensor | None) -> None:
    module = Stateful()
    kept = KeptBuffers({"net": module})
    bad = torch.tensor([1.0, 2.0 if flag is not None and flag else math.nan])

    def state() -> dict[str, Any]:
        return {name: buffer.tolist() for name, buffer in module.named_buffers()}

    before = copy.deepcopy(state())
    kept.begin()
    module(bad)
    kept.settle(flag)
    assert state() == before
    kept.begin()
    module(torch.tensor([1.0, 2.0]))
    kept.settle(None if flag is None else torch.tensor(0.0))
    good = state()
    assert good["mean"] == good["replaced"] == good["grown"] == good["late"] == [1.0, 2.0]
    assert good["count"] == 1
    module.get_buffer("mean").fill_(5.0)  # As a hook or a resume does.
    kept.begin()
    module(bad)
    kept.settle(flag)
    assert state() == good | {"mean": [5.0, 5.0]}
    assert kept.spoiled() == ({"net": 2} if flag is not None and not flag else {})
    assert kept.spoiled() == {}
