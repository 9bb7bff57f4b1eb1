"""Back to an earlier checkpoint when numbers explode, and on with other batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

import pytest
import torch
from torch import Tensor, nn

import artschool
from artschool.engine.run import Run
from artschool.errors import NumericsError
from artschool.registry import datasets, networks
from tests.engine.toy_run import Recorder, fingerprint, recorded, write

TEXT = """
name: explodes
plugins: [PLUGIN]
data: {train: {type: exploding, bad: [4, 8], batch_size: 2, shuffle: false}}
networks: {net: {type: scale_only}}
steps:
  main:
    trains: net
    optimizer: {type: sgd, lr: 0.5}
    injectors: {y: {type: forward, network: net, in: x, out: y}}
    losses: {mean: {type: mean, in: y, weight: 1.0}}
train: {iterations: 8, device: cpu, non_finite: rollback, max_skips: 2}
log: {every: 1}
checkpoint: {every: 1, keep_last: 8}
"""


class Sample(TypedDict):
    """A number."""

    x: Tensor


class Exploding:
    """Sample i is the number i; those of a range are NaN."""

    def __init__(self, bad: tuple[int, int], length: int = 40) -> None:
        self._bad, self._length = range(*bad), length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        return {"x": torch.tensor([float("nan") if index in self._bad else float(index)])}


class ScaleOnly(nn.Module):
    """`w * x`, with w = 1 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return self.w * x


def load(folder: Path, *overrides: str) -> tuple[Run, Recorder]:
    datasets.register("exploding", Exploding)
    networks.register("scale_only", ScaleOnly)
    folder.mkdir(exist_ok=True)
    run = artschool.load(write(folder, *overrides, text=TEXT), run_dir=folder / "run")
    recorder = Recorder()
    run.loggers = [*run.loggers, recorder]
    return run, recorder


def weight(run: Run) -> float:
    return run.networks["net"].get_parameter("w").item()


def test_the_run_goes_on_with_the_batches_after_those_that_exploded(tmp_path: Path) -> None:
    run, recorder = load(tmp_path)
    run.train()
    # Batches 0 and 1 are good, 2 and 3 are NaN. The run goes back to 3 finished iterations, of which the last was
    # skipped, and takes batches 4 to 8 for what is left. The gradient of batch b is the mean of 2b and 2b + 1.
    assert (run.rollbacks, run.data_offset, run.iteration) == (1, 1, 8)
    assert weight(run) == 1 - 0.5 * sum(2 * batch + 0.5 for batch in (0, 1, 4, 5, 6, 7, 8))
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == list(range(8))
    assert [note for note in recorder.notes if "Rolling back" in note] == [
        "steps.main: NaN or infinite gradients in 2 updates in a row, up to iteration 4; the limit is "
        "`train.max_skips: 2`. Rolling back to the checkpoint after 3 iterations and continuing with new batches "
        "(rollback 1 of 3)"
    ]


def test_no_random_number_is_drawn_again_after_going_back(tmp_path: Path) -> None:
    run, _ = load(tmp_path)
    drawn: list[float] = []
    run.networks["net"].register_forward_pre_hook(lambda *_: drawn.append(torch.rand(()).item()))
    run.train()
    assert len(drawn) == len(set(drawn)) == 4 + 5  # Iterations 0 to 3, then 3 to 7.


def test_a_resumed_run_stands_where_the_other_does(tmp_path: Path) -> None:
    whole, _ = load(tmp_path / "whole")
    whole.train()
    first, _ = load(tmp_path / "parts", "train.iterations=6")
    first.train()
    second, _ = load(tmp_path / "parts")
    second.train()
    assert fingerprint(second) == fingerprint(whole)


def test_each_time_goes_further_back_and_the_last_one_stops(tmp_path: Path) -> None:
    run, recorder = load(tmp_path, "data.train.bad=[4, 40]", "train.max_rollbacks=2")
    with pytest.raises(NumericsError, match=r"NaN or infinite gradients in 2 updates in a row"):
        run.train()
    assert [note.split("checkpoint ")[1][:18] for note in recorder.notes if "Rolling back" in note] == [
        "after 3 iterations",
        "after 2 iterations",
    ]


def test_without_a_checkpoint_there_is_nowhere_to_go(tmp_path: Path) -> None:
    run, _ = load(tmp_path, "data.train.bad=[0, 40]", "checkpoint.every=")
    recorded(run)
    with pytest.raises(NumericsError, match=r"cannot roll back: no intact checkpoint"):
        run.train()


def test_a_rewind_goes_to_the_copy_in_memory_then_to_checkpoints_and_cools(tmp_path: Path) -> None:
    options = ("train.non_finite=rewind", "train.rewind_every=2", "train.cooling=0.5", "checkpoint.every=100")
    run, recorder = load(tmp_path, *options)
    run.train()
    # Batches 2 and 3 are NaN. The copy is from after iteration 1; the run goes on with batch 4 at half the rate.
    assert (run.rollbacks, run.data_offset, run.iteration) == (1, 3, 8)
    trained = 1 - 0.5 * 0.5 - 0.25 * sum(2 * batch + 0.5 for batch in range(4, 11))
    assert weight(run) == trained
    assert [note for note in recorder.notes if "Rolling back" in note] == [
        "steps.main: NaN or infinite gradients in 2 updates in a row, up to iteration 4; the limit is "
        "`train.max_skips: 2`. Rolling back to the copy in memory after 1 iteration and continuing with new batches "
        "(rollback 1 of 3)"
    ]
    resumed, _ = load(tmp_path, *options, "train.iterations=9")
    resumed.train()
    assert weight(resumed) == trained - 0.25 * (2 * 11 + 0.5)


def test_a_copy_in_memory_is_used_once_then_checkpoints(tmp_path: Path) -> None:
    options = ("train.non_finite=rewind", "data.train.bad=[4, 40]", "train.rewind_every=1", "train.max_rollbacks=2")
    run, recorder = load(tmp_path, *options)
    with pytest.raises(NumericsError, match=r"NaN or infinite gradients in 2 updates in a row"):
        run.train()
    assert [note.split("back to the ")[1][:29] for note in recorder.notes if "Rolling back" in note] == [
        "copy in memory after 2 iterat",
        "checkpoint after 2 iterations",
    ]
