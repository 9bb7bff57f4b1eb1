"""Weights under names of other projects: taken if one reading fits, and refused with what the file contains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from artschool.components.networks.edsr import EDSR
from tests.reports.small import artschool

FILE = """
name: tuned
data: {train: {type: sklearn_digits, batch_size: 2}}
networks:
  net: {type: edsr, in_channels: 1, out_channels: 1, width: 2, blocks: 1, scale: 1, weights: w.pt}
steps:
  main:
    trains: net
    optimizer: {type: sgd, lr: 0.0001}
    injectors: {f: {type: forward, network: net, in: image, out: y}}
    losses: {l: {type: l1, in: [y, image], weight: 1.0}}
train: {iterations: 1, device: cpu}
"""


def weights(prefix: str = "") -> dict[str, Tensor]:
    network = EDSR(in_channels=1, out_channels=1, width=2, blocks=1, scale=1)
    return {f"{prefix}{name}": value for name, value in network.state_dict().items()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tuned.yml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("content", "removed"),
    [
        ({"generator": weights(), "iteration": 7}, "generator."),
        (weights("_orig_mod."), "_orig_mod."),
        ({"state_dict": weights("model._orig_mod."), "hyper_parameters": {"lr": 0.1}}, "state_dict.model., _orig_mod."),
    ],
)
def test_weights_under_other_names_are_taken(folder: Path, content: Any, removed: str) -> None:
    torch.save(content, "w.pt")
    code, printed = artschool("train", "tuned.yml", "--no-trace")
    assert code == 0
    assert f"networks.net: w.pt: {len(weights())} tensors loaded; removed from the names: {removed}\n" in printed


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            {"params": weights(), "params_ema": weights()},
            "several prefixes fit: params., params_ema.. "
            "Fix: choose one, such as `weights: {file: ..., prefix: params_ema.}`",
        ),
        ({"generator": {"other": torch.zeros(1)}}, "The file contains: generator. (1 tensor)"),
        ({"epoch": 3}, "w.pt: no named tensors found, only the keys epoch"),
    ],
)
def test_what_does_not_fit_is_refused_even_if_not_strict(folder: Path, content: Any, text: str) -> None:
    torch.save(content, "w.pt")
    for strict in ("true", "false"):
        code, printed = artschool(
            "check", "--trace", "tuned.yml", f"networks.net.weights={{file: w.pt, strict: {strict}}}"
        )
        assert code == 6
        assert "networks.net.weights: w.pt: " in printed
        assert text in printed


def test_a_part_is_told_as_so_many_of_all(folder: Path) -> None:
    first, *rest = weights()
    torch.save({name: weights()[name] for name in rest}, "w.pt")
    code, printed = artschool("train", "tuned.yml", "--no-trace", "networks.net.weights={file: w.pt, strict: false}")
    assert code == 0
    assert f"networks.net: w.pt: {len(rest)} of {len(rest) + 1} tensors loaded; 1 missing: {first}\n" in printed


def test_a_checkpoint_folder_names_the_file_to_take(folder: Path) -> None:
    torch.save(weights(), "w.pt")
    assert artschool("train", "tuned.yml", "--no-trace")[0] == 0
    code, printed = artschool("check", "--trace", "tuned.yml", "networks.net.weights=runs/tuned")
    assert code == 6
    fix = "Fix: write one of the files in runs/tuned/checkpoints/00000001: net.safetensors"
    assert f"networks.net.weights: runs/tuned: expected a file, got a folder. {fix}" in printed
