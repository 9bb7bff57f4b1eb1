"""The size of updates, by hand."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from artschool.components.callbacks.update_size import UpdateSize
from artschool.registry.signature import Context
from tests.engine import toy_parts

WATCHED = (
    "networks.net={type: part_shift, start: 2.0}",
    "steps.main.callbacks.size={type: update_size, per: parameter}",
)


def test_it_is_the_share_of_the_weights_that_an_update_moves(tmp_path: Path) -> None:
    # The gradient is 1 and the rate 0.5: 2, 1.5, 1, 0.5, 0.
    run, recorder = toy_parts.load(tmp_path, *WATCHED, "log.every=2")
    run.train()
    sizes = recorder.values("main/size/net.weight")
    assert sizes[0] == pytest.approx((0.5 / 1.5 + 0.5 / 1.0) / 2)  # The mean between log points.
    assert sizes[1] == pytest.approx(float("inf"))  # To 0 exactly, by a step of 0.5.


def test_leaving_zero_counts_as_one_and_a_skipped_update_as_none(tmp_path: Path) -> None:
    spoil = "steps.main.losses.mean={type: part_spoil, in: y, weight: 1.0, at: [1]}"
    run, recorder = toy_parts.load(tmp_path, *WATCHED, "networks.net.start=0.0", spoil)
    run.train()
    assert recorder.values("main/size/net.weight") == pytest.approx([1.0, 0.0, 0.5, 1 / 3])


def test_a_layer_counts_as_one_and_every_looks_less_often(tmp_path: Path) -> None:
    linear = ("networks.net={type: part_linear, width: 2}", "data.train.width=2")
    size = "steps.main.callbacks={size: {type: update_size, every: 2}}"
    run, recorder = toy_parts.load(tmp_path, *linear, size)
    run.train()
    layers = [name for name in recorder.records[0] if name.startswith("main/size/")]
    assert layers == ["main/size/net"]
    assert [record["iteration"] for record in recorder.records if "main/size/net" in record] == [0, 2]
    before, after = ({name: taken["net"][name] for name in ("weight", "bias")} for taken in recorder.taken[:2])
    moved, weights = [(after[name] - before[name]).flatten() for name in after], [t.flatten() for t in after.values()]
    expected = torch.cat(moved).norm() / torch.cat(weights).norm()
    assert recorder.values("main/size/net")[0] == pytest.approx(float(expected), rel=1e-5)


def test_weights_that_explode_are_told_and_those_that_stay_at_zero_stand_still() -> None:
    network = torch.nn.Linear(1, 2, bias=False)
    network.weight.grad = torch.ones(2, 1)
    for before, after, expected in ((1.0, torch.nan, torch.nan), (1.0, torch.inf, torch.nan), (0.0, 0.0, 0.0)):
        logged: dict[str, torch.Tensor] = {}
        size = UpdateSize({"net": network}, context=Mock(spec=Context, log=logged.__setitem__))
        network.weight.data.fill_(before)
        size.before_optimize(0)
        network.weight.data.fill_(after)
        size.after_optimize(0)
        assert logged["net"].item() == pytest.approx(expected, nan_ok=True)
