"""Runs that are loaded for use need no data; a file may be given as a mapping."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import artschool
from artschool.config.source import read_text
from artschool.errors import DataError
from tests.model import small_run


def test_networks_are_loaded_without_data_and_evaluations_need_it(tmp_path: Path, registries: None) -> None:
    small_run.load(tmp_path, "train.iterations=1 epochs").train()
    shutil.rmtree(tmp_path / "data")
    file = tmp_path / "run" / "config.yml"
    run = artschool.load_trained(file)
    own = artschool.open(tmp_path / "run", device="cpu", average=False)
    assert own.config.sections.train.iterations == 3  # An epoch has as many as the checkpoint says.
    for one, other in zip(run.networks["gen"].parameters(), own["gen"].parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(DataError, match="no such folder"):
        run.evaluate()
    with pytest.raises(DataError, match="no such folder"):
        artschool.load(file)


def test_a_mapping_is_a_file(tmp_path: Path, registries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    text = small_run.TEXT.replace("PLUGIN", small_run.__file__).replace("path: data", f"path: {tmp_path}/data")
    mapping = read_text(text, "small.yml").plain() | {"seed": 3, "runs": tmp_path / "all runs"}
    run = artschool.load(mapping, ["train.iterations=2"]).train()
    assert repr(run) == f"<run small: 2 of 2 iterations on cpu; gen, judge, code; {tmp_path}/all runs/small>"
    other = artschool.load(run.folder / "config.yml")  # The mapping is written as a file, with how it was loaded.
    assert other.is_finished and other.sections.seed == 3
    with pytest.raises(artschool.ConfigError, match=r"mapping:\d+:\d+: train.iterations: expected"):
        artschool.load({**mapping, "train": {"iterations": "many"}})
