"""Gradients are summed over iterations until their direction settles, and the update follows their mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from artschool.engine.batch_sizing import BatchSizing, angle
from artschool.errors import NumericsError, Stopped
from tests.engine import toy_run
from tests.engine.test_resume import trained
from tests.engine.toy_parts import load, same
from tests.engine.toy_run import StopAfter

SIZED = "steps.main.batch_sizing={}"
NEVER_SETTLED = "steps.main.batch_sizing={max_full_batches: 3}"


def unit(index: int, length: float = 1.0) -> Tensor:
    """A (2, 5) tensor with one element that is not 0."""
    return torch.zeros(10).index_fill_(0, torch.tensor(index), length).view(2, 5)


def counts(gradients: Sequence[Tensor], *, poll: int = 8, most: int = 10) -> tuple[list[int], nn.Parameter]:
    """What `add` returns for each gradient of a single weight, and that weight."""
    weight = nn.Parameter(torch.zeros(2, 5))
    sizing = BatchSizing([weight], poll, most)
    returned = []
    for gradient in gradients:
        weight.grad = gradient.clone()
        returned.append(sizing.add(torch.zeros(())))
    return returned, weight


def test_an_angle_is_exact_from_zero_to_pi() -> None:
    one, other = unit(0, 3.0), unit(1, 1e-20)
    assert angle(one, one) == 0
    assert angle(one, -one) == pytest.approx(math.pi)
    assert angle(one, other) == pytest.approx(math.pi / 2)
    assert angle(one, one + unit(1, 3e-5)) == pytest.approx(1e-5, rel=1e-3)  # Its cosine in float32 is 1.
    assert angle(unit(0, 0.0), unit(0, 0.0)) == 0


def test_parallel_gradients_are_settled_at_once() -> None:
    returned, weight = counts([unit(3), unit(3, 2.0), unit(3, 5.0), unit(3, 7.0)])
    assert returned == [0, 2, 0, 2]
    assert weight.grad is not None and torch.equal(weight.grad, unit(3, 6.0))
    drawn = torch.rand(2, 5, generator=torch.Generator().manual_seed(0))
    assert counts([drawn, drawn * 0.3])[0] == [0, 2]


def test_orthogonal_gradients_turn_ever_less_and_go_on_to_the_maximum() -> None:
    # The k-th turns the sum of those before by arctan(1 / sqrt(k - 1)).
    returned, _ = counts([unit(index) for index in range(10)], most=7)
    assert returned == [0, 0, 0, 0, 0, 0, 7, 0, 0, 0]
    assert counts([unit(index) for index in range(10)])[0][-1] == 10
    assert counts([unit(0), unit(1)], most=1)[0] == [1, 1]


def test_an_angle_that_grows_ends_the_sum() -> None:
    # By 45 degrees, then by arctan(1.5 / sqrt(2)) = 47.
    returned, weight = counts([unit(0), unit(1), unit(2, 1.5)])
    assert returned == [0, 0, 3]
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, (unit(0) + unit(1) + unit(2, 1.5)) / 3, rtol=0, atol=0)


def test_a_first_gradient_of_zero_settles_nothing() -> None:
    assert counts([unit(0, 0.0), unit(0), unit(1), unit(2, 1.5)])[0] == [0, 0, 0, 4]


def test_every_polled_tensor_must_have_stopped_and_each_may_do_so_at_its_time() -> None:
    weights = [nn.Parameter(torch.zeros(2, 5)) for _ in range(2)]
    sizing = BatchSizing(weights, 8, 10)
    returned = []
    for index, last in enumerate([unit(0), unit(1), unit(2), unit(3, 9.0)]):
        weights[0].grad, weights[1].grad = unit(0), last  # The first is settled from the second iteration on.
        returned.append(sizing.add(torch.zeros(())))
        assert index == 0 or index == 3 or sizing.settled.tolist() == [True, False]
    assert returned == [0, 0, 0, 4]


def test_weights_are_polled_evenly_and_biases_only_where_there_is_nothing_else() -> None:
    shapes = [(2, 5), (5,), (3, 3), (1, 1), (2,), (4, 4), (1, 2)]
    parameters = [nn.Parameter(torch.zeros(shape)) for shape in shapes]
    assert BatchSizing(parameters, 8, 10).polled == [0, 2, 3, 5, 6]
    assert BatchSizing(parameters, 2, 10).polled == [0, 3]
    assert BatchSizing([parameters[1], parameters[4]], 8, 10).polled == [0, 1]


def test_a_gradient_that_comes_now_and_then_counts_and_one_that_never_comes_stays_away() -> None:
    weights = [nn.Parameter(torch.zeros(2, 5)) for _ in range(3)]
    sizing = BatchSizing(weights, 1, 2)
    weights[0].grad, weights[1].grad = unit(0), unit(1, 4.0)
    assert sizing.add(None) == 0
    weights[0].grad, weights[1].grad = unit(0), None
    assert sizing.add(None) == 2
    assert weights[1].grad is not None and torch.equal(weights[1].grad, unit(1, 2.0))
    assert weights[2].grad is None


def test_a_step_moves_when_its_sum_is_complete_along_the_mean(tmp_path: Path) -> None:
    run, snapshots = load(tmp_path, SIZED, "ema={decay: 0.5, networks: [net]}", "train.iterations=5")
    run.train()
    assert snapshots.weights() == [0, 0, -0.5, -0.5, -1, -1]
    assert snapshots.weights("net.ema") == [0, 0, -0.25, -0.25, -0.625, -0.625]
    assert snapshots.values("main/accumulated") == [2, 2]
    assert snapshots.values("main/skipped") == [0, 0, 0, 0, 0]
    assert run.steps[0].update is not None and run.steps[0].update.count == 2


def test_the_log_has_the_mean_number(tmp_path: Path) -> None:
    run, snapshots = load(tmp_path, "steps.main.batch_sizing={max_full_batches: 1}", "log.every=4")
    run.train()
    assert snapshots.values("main/accumulated") == [1]
    assert snapshots.weights() == [0, -0.5, -1, -1.5, -2]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_mean_is_followed_as_a_batch_of_that_size_would_be(tmp_path: Path, precision: str) -> None:
    """Three iterations of two samples are one of six, clipping included."""
    weights = []
    for name, options in {
        "sized": [NEVER_SETTLED, "train.iterations=3"],
        "large": ["train.iterations=1", "data.train.batch_size=6"],
    }.items():
        (tmp_path / name).mkdir()
        run, snapshots = load(
            tmp_path / name, *options, f"train.precision={precision}",
            "data.train.width=4", "networks.net={type: part_linear}", "steps.main.clip_grad_norm=0.005",
            "steps.main.losses={off: {type: l2, in: [y, x], weight: 0.01}}", "steps.main.optimizer.lr=50.0",
        )  # fmt: skip
        run.train()
        weights.append(snapshots.taken[-1]["net"])
        assert not same(snapshots.taken[0]["net"], weights[-1])
        if name == "sized":
            assert same(snapshots.taken[0]["net"], snapshots.taken[2]["net"])
            assert len(snapshots.values("main/grad_norm")) == 1
    for key, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][key], rtol=0, atol=1e-6 if precision == "fp32" else 1e-3)


@pytest.mark.parametrize("by", ["nan", "inf"])
def test_gradients_that_are_not_finite_are_left_out_and_counted(tmp_path: Path, by: str) -> None:
    spoil = f"steps.main.losses={{spoil: {{type: part_spoil, in: y, at: [1, 2], by: '{by}', weight: 1.0}}}}"
    run, snapshots = load(tmp_path, SIZED, spoil, "train.iterations=6")
    run.train()
    # Iterations 0 and 3 make the first update, 4 and 5 the second.
    assert snapshots.weights() == [0, 0, 0, 0, -0.5, -0.5, -1]
    assert snapshots.values("main/skipped") == [0, 1, 2, 2, 2, 2]
    assert snapshots.values("main/accumulated") == [2, 2]


def test_the_scale_of_half_precision_follows_each_iteration(tmp_path: Path) -> None:
    spoil = "steps.main.losses={spoil: {type: part_spoil, in: y, at: [1], by: 'inf', weight: 1.0}}"
    run, snapshots = load(tmp_path, SIZED, spoil, "train.precision=fp16")
    run.train()
    assert snapshots.values("main/scale") == [65536, 32768, 32768, 32768]
    assert snapshots.weights() == [0, 0, 0, -0.5, -0.5]


def test_non_finite_gradients_in_a_row_end_the_run(tmp_path: Path) -> None:
    spoil = "steps.main.losses={spoil: {type: part_spoil, in: y, at: [1, 2, 3], weight: 1.0}}"
    run, _ = load(tmp_path, SIZED, spoil, "train.max_skips=3")
    with pytest.raises(NumericsError, match="NaN or infinite gradients in 3 updates in a row"):
        run.train()


@pytest.mark.parametrize("stop", [1, 2, 5, 7])
def test_a_run_resumed_in_the_middle_of_a_sum_equals_the_uninterrupted_one(tmp_path: Path, stop: int) -> None:
    options = ("steps.gen.batch_sizing={poll_parameters: 2, max_full_batches: 4}", "train.iterations=11")
    whole = trained(tmp_path / "whole", *options, "log.every=1")
    run = toy_run.load(tmp_path, *options, "log.every=1")
    run.loggers = [StopAfter(stop)]
    with pytest.raises(Stopped):
        run.train()
    run = toy_run.load(tmp_path, *options, "log.every=1")
    toy_run.recorded(run)
    assert toy_run.fingerprint(run.train()) == toy_run.fingerprint(whole)
