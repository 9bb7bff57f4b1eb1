"""Samples of the wrong kind, in training, in evaluations and in the trace: never a traceback, and never a hang."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reports.small import artschool

PARTS = """
import sys
import torch
from artschool import datasets

BAD = {
    "nothing": lambda: None,
    "tuple": lambda: (torch.zeros(3), 1),
    "other keys": lambda: {"z": torch.zeros(3)},
    "number": lambda: {"x": 0.0},
    "gradient": lambda: {"x": torch.zeros(3, requires_grad=True) * 2},
    "exit": lambda: sys.exit(0),
}

@datasets.register("part_sometimes")
class Sometimes:
    def __init__(self, bad: str, at: int = 5):
        self.bad, self.at = bad, at
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return BAD[self.bad]() if index == self.at else {"x": torch.rand(3)}
"""
FILE = """
name: odd
plugins: [parts.py]
data:
  train: {type: part_sometimes, bad: nothing, at: 9, batch_size: 2}
  held: {type: part_sometimes, bad: nothing, at: 9, batch_size: 2}
networks: {net: {type: mlp, in_features: 3, out_features: 1}}
steps:
  main:
    trains: net
    optimizer: {type: adamw, lr: 1e-3}
    injectors: {f: {type: forward, network: net, in: x, out: y}}
    losses: {l: {type: mean, in: y, weight: 1.0}}
train: {iterations: 4, device: cpu}
evaluate:
  held: {data: held, steps: [main]}
"""
REASONS = {
    "nothing": "expected a mapping with the keys x, as in sample 0, got None",
    "tuple": "expected a mapping with the keys x, as in sample 0, got a tuple of 2 values",
    "other keys": "expected the keys x, as in sample 0, got z",
    "number": "'x': expected a float32 tensor of 1 dimension, as in sample 0, got a number",
    "gradient": "'x': expected a tensor without gradients",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registries: None) -> Path:
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "odd.yml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("bad", REASONS)
def test_a_sample_of_the_wrong_kind_is_a_bad_sample(folder: Path, bad: str, workers: int) -> None:
    options = ("data.train.at=5", f"data.train.bad={bad}", f"data.train.workers={workers}", "--no-trace")
    code, printed = artschool("train", "odd.yml", *options)
    assert code == 3, printed
    assert f"odd.yml:5:10: data.train: sample 5 (epoch 0): {REASONS[bad]}\n" in printed
    code, printed = artschool("train", "odd.yml", *options, "data.train.max_bad=1")
    assert code == 0
    replaced = f"warning: data.train: sample 5 (epoch 0): {REASONS[bad]}; replaced by another sample (1 of at most 1)"
    assert printed.count(replaced) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_set_that_ends_python_does_not_end_the_run_in_silence(folder: Path, workers: int) -> None:
    options = ("data.train.at=5", "data.train.bad=exit", f"data.train.workers={workers}", "--no-trace")
    code, printed = artschool("train", "odd.yml", *options)
    assert code == 3, printed
    assert "data.train: sample 5 (epoch 0) raised SystemExit: 0\n    at " in printed


@pytest.mark.parametrize("workers", [0, 1])
def test_evaluations_have_bad_samples_too(folder: Path, workers: int) -> None:
    options = ("data.held.at=3", f"data.held.workers={workers}", "--no-trace")
    _, printed = artschool("train", "odd.yml", *options)
    assert "odd.yml:6:9: data.held: sample 3 (epoch 0): expected a mapping with the keys x, as in sample 0" in printed
    code, printed = artschool("train", "odd.yml", *options, "data.held.max_bad=1", "--run-dir", "again")
    assert (code, "data.held: 1 sample could not be read" in printed) == (0, True)


def test_the_trace_reports_a_bad_sample(folder: Path) -> None:
    code, printed = artschool("check", "--trace", "odd.yml", "data.train.at=1", "data.train.bad=tuple")
    assert code == 3, printed
    assert "odd.yml:5:10: data.train: sample 1 (epoch 0): expected a mapping with the keys x, as in sample 0" in printed


def test_a_data_set_without_index_is_refused_by_the_check(folder: Path) -> None:
    stream = "\n@datasets.register\nclass Stream(torch.utils.data.IterableDataset):\n    def __iter__(self): yield {}\n"
    (folder / "parts.py").write_text(PARTS + stream)
    code, printed = artschool("check", "odd.yml")
    assert code == 2
    assert (
        "odd.yml:3:11: plugins.0: plugin 'parts.py': data set 'stream' cannot be registered: a data set has samples by "
        "index (expected methods __len__ and __getitem__). Fix: keep its items or their places in a list, and return "
        "the item of an index from `__getitem__`"
    ) in printed
