"""Weights & Biases, through a stand-in for its package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from artschool.errors import ResourceError
from tests.components.loggers.like_wandb import LikeWandb
from tests.engine import toy_run

WANTED = "log.loggers={w: {type: wandb, project: p}}"


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> LikeWandb:
    module = LikeWandb("wandb")
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_numbers_and_pictures_arrive_and_a_resumed_run_is_the_same(tmp_path: Path, stand_in: LikeWandb) -> None:
    options = (WANTED, "log.pictures={every: 3, keys: [sr], most: 2}")
    for iterations in (3, 6):
        toy_run.load(tmp_path, *options, f"train.iterations={iterations}").train()
    first, second = stand_in.started
    assert first["id"] == second["id"] and first["project"] == "p" and first["resume"] == "allow"
    assert first["name"] == "toy"
    assert first["config"]["ema"]["decay"] == 0.9
    numbers = [(step, values) for step, values in stand_in.logged if "gen/pixel" in values]
    assert [step for step, _ in numbers] == [2, 5]
    pictures = [(step, values["pictures/sr"]) for step, values in stand_in.logged if "pictures/sr" in values]
    assert pictures == [(2, [(8, 8, 3)] * 2), (5, [(8, 8, 3)] * 2)]
    assert stand_in.finished == 2


def test_a_folder_that_was_moved_continues_its_run_and_a_new_one_in_its_place_is_another(
    tmp_path: Path, stand_in: LikeWandb
) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    toy_run.load(tmp_path, WANTED, "train.iterations=1").train()
    (tmp_path / "run").rename(moved / "run")
    toy_run.load(moved, WANTED, "train.iterations=2").train()
    toy_run.load(tmp_path, WANTED, "train.iterations=1").train()
    first, second, other = (options["id"] for options in stand_in.started)
    assert first == second != other


def test_what_is_no_picture_is_left_out(stand_in: LikeWandb) -> None:
    from artschool.components.loggers.wandb import WandbLogger

    logger = WandbLogger(project="p")
    logger.picture("x", 1, torch.zeros(2, 5, 4, 4))
    logger.close()
    assert not stand_in.logged and not stand_in.finished


def test_a_missing_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ResourceError, match=r"wandb is not installed\. Fix: pip install 'artschool\[wandb\]'"):
        toy_run.load(tmp_path, WANTED)
