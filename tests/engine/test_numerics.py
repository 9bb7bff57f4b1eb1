"""Gradients that are not finite leave weights, optimizer and average where they are; half precision trains."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from artschool.engine.ema import Ema
from artschool.engine.meters import Meters
from artschool.engine.precision import Precision
from artschool.engine.scheduled_optimizer import ScheduledOptimizer
from artschool.engine.train_context import TrainContext
from artschool.engine.update import Update
from artschool.errors import NumericsError
from artschool.registry.schedule import Schedule
from tests.engine.toy_parts import TEXT, Snapshots, load, same

SPOILED = """
name: parts
plugins: [PLUGIN]
data: {train: {type: part_samples, length: 6, batch_size: 2, shuffle: false}}
networks: {net: {type: part_shift, start: 2.0}, other: {type: part_shift}}
steps:
  main:
    trains: net
    optimizer: {type: adamw, lr: 0.5}
    clip_grad_norm: 1.0
    injectors: {shift: {type: forward, network: net, in: x, out: y}}
    losses: {spoil: {type: part_spoil, in: y, at: [1], weight: 1.0}}
  second:
    trains: other
    optimizer: {type: sgd, lr: 0.5}
    injectors: {shift: {type: forward, network: other, in: y, out: z}}
    losses: {mean: {type: mean, in: z, weight: 1.0}}
train: {iterations: 4, device: cpu}
ema: {decay: 0.5, networks: [net, other]}
log: {every: 1}
"""
OPTIMIZERS = [
    "{type: adamw, lr: 0.5}",
    "{type: adam, lr: 0.5, amsgrad: true}",
    "{type: adagrad, lr: 0.5}",
    "{type: sgd, lr: 0.5, momentum: 0.9}",
    "{type: sgd, lr: 0.5, momentum: 0.9, nesterov: true, weight_decay: 0.1}",
    "{type: sgd, lr: 0.5, momentum: 0.9, dampening: 0.5}",
    "{type: sgd, lr: 0.5}",
    "{type: nadam, lr: 0.5}",
    "{type: rmsprop, lr: 0.5}",
    "{type: lamb, lr: 0.5}",
]


def spoiled_at(*iterations: int, by: str = "nan") -> str:
    return f"steps.main.losses.spoil={{type: part_spoil, in: y, at: {list(iterations)}, by: {by}, weight: 1.0}}"


@pytest.mark.parametrize("by", ["nan", "inf"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_non_finite_update_moves_no_bit_of_its_step_and_all_of_the_other(
    tmp_path: Path, optimizer: str, by: str
) -> None:
    run, snapshots = load(tmp_path, spoiled_at(1, by=f"'{by}'"), f"steps.main.optimizer={optimizer}", text=SPOILED)
    run.train()
    before, after = snapshots.taken[1:3]
    for part in ("net", "net.ema", "steps.main"):
        assert same(before[part], after[part])
    for part in ("net", "net.ema"):
        assert not same(snapshots.taken[0][part], before[part])
        assert not same(after[part], snapshots.taken[3][part])
    assert snapshots.weights("other") == [0, -0.5, -1, -1.5, -2]
    assert snapshots.weights("other.ema") == [0, -0.25, -0.625, -1.0625, -1.53125]
    assert snapshots.values("main/skipped") == [0, 1, 1, 1]
    assert snapshots.values("second/skipped") == [0, 0, 0, 0]
    assert not math.isfinite(snapshots.values("main/spoil")[1])  # It is never hidden.
    assert all(math.isfinite(weight) for weight in snapshots.weights())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bad", [0, 1])
def test_one_bad_element_of_any_parameter_keeps_all_where_they_are(bad: int, dtype: torch.dtype) -> None:
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2, dtype=dtype))]
    optimizer, precision = torch.optim.SGD(parameters, lr=1.0), Precision("fp32", torch.device("cpu"))
    update = Update("s", ScheduledOptimizer(optimizer, Schedule()), precision, clip=None, skip_non_finite=True)
    for spoiled in (True, False):
        for index, parameter in enumerate(parameters):
            parameter.grad = torch.ones_like(parameter)
            parameter.grad[1] = math.nan if spoiled and index == bad else 1.0
        assert update.prepare(0)
        update(Meters())
        assert [p.tolist() for p in parameters] == [[0, 0] if spoiled else [-1, -1]] * 2
    assert update.skips() == (1, 0)


def test_what_a_component_records_outside_training_is_dropped() -> None:
    context = TrainContext(torch.device("cpu"), Meters())
    context.record("x", 1.0)
    context.training = True
    context.record("x", 3.0)
    assert context.meters.drain() == {"x": 3.0}


def test_an_average_follows_unless_every_update_was_skipped() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    ema = Ema(network, 0.5)
    nn.init.ones_(network.weight)
    averages = []
    for skipped in ([1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [1.0]):
        ema.update([torch.tensor(flag) for flag in skipped])
        averages.append(ema.module.state_dict()["weight"].item())
    assert averages == [0, 0.5, 0.75, 0.75]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_skipped_first_update_leaves_nothing_behind(tmp_path: Path, optimizer: str) -> None:
    def weights(name: str, at: str) -> list[float]:
        folder = tmp_path / name
        folder.mkdir()
        run, snapshots = load(folder, at, f"steps.main.optimizer={optimizer}", "data.train.length=2", text=SPOILED)
        # Freed memory that holds no zeros, for whoever would take a buffer without filling it.
        garbage = [torch.full((), 1e3) for _ in range(1000)]
        del garbage
        run.train()
        return snapshots.weights()

    # The loss is linear and the batch is always the same, so every update but the skipped ones is the same.
    skipped, clean = weights("skipped", spoiled_at(0, 1)), weights("clean", spoiled_at())
    assert skipped == [2, 2, 2, *clean[1:3]]


@pytest.mark.parametrize("first", [[0], [1]])
def test_momentum_starts_at_nothing_for_parameters_that_join_later(tmp_path: Path, first: list[int]) -> None:
    run, snapshots = load(
        tmp_path,
        "networks.other.after=2",
        "ema={decay: 0.5, networks: [net]}",
        f"""steps={{main: {{trains: [net, other], optimizer: {{type: sgd, lr: 0.5, momentum: 0.5}},
            injectors: {{shift: {{type: forward, network: net, in: x, out: y0}},
                more: {{type: forward, network: other, in: y0, out: y}}}},
            losses: {{spoil: {{type: part_spoil, in: y, at: {first}, weight: 1.0}}}}}}}}""",
        text=SPOILED,
    )
    run.train()
    # Updates of 1, 1.5 and 1.75 (the momentum of a constant gradient of 1), times the rate of 1/2.
    assert snapshots.weights("other") == [0, 0, 0, -0.5, -1.25]
    assert snapshots.weights("net") == ([2, 2, 1.5, 0.75, -0.125] if first == [0] else [2, 1.5, 1.5, 0.75, -0.125])


def test_stop_ends_at_the_next_log_point_with_the_weights_before(tmp_path: Path) -> None:
    run, snapshots = load(tmp_path, "train.non_finite=stop", "log.every=3", text=SPOILED)
    text = (
        r"^steps\.main: NaN or infinite gradients in 1 update up to iteration 3, and `train\.non_finite` is `stop`\. "
        r"These did not change the weights\. Fix: check the losses, or lower the learning rate$"
    )
    with pytest.raises(NumericsError, match=text) as error:
        run.train()
    assert (error.value.exit_code, run.iteration) == (4, 3)
    assert same(snapshots.taken[1]["net"], snapshots.taken[2]["net"])
    assert run.store.numbers() == []


@pytest.mark.parametrize(("at", "stops_after"), [([0, 1], None), ([0, 2, 3], None), ([1, 2, 3], 4), ([0, 1, 2], 3)])
def test_max_skips_counts_updates_in_a_row(tmp_path: Path, at: list[int], stops_after: int | None) -> None:
    run, _ = load(tmp_path, spoiled_at(*at), "train.max_skips=3", text=SPOILED)
    if stops_after is None:
        assert run.train().iteration == 4
        return
    text = (
        rf"^steps\.main: NaN or infinite gradients in 3 updates in a row, up to iteration {stops_after}; "
        r"the limit is `train\.max_skips: 3`$"
    )
    with pytest.raises(NumericsError, match=text) as error:
        run.train()
    assert (error.value.exit_code, run.iteration) == (4, stops_after)


def test_a_row_of_skips_goes_on_over_a_resume(tmp_path: Path) -> None:
    options = (spoiled_at(1, 2, 3), "train.max_skips=3", "log.every=2")
    load(tmp_path, *options, "train.iterations=3", text=SPOILED)[0].train()
    run, snapshots = load(tmp_path, *options, text=SPOILED)
    assert run.iteration == 3
    with pytest.raises(NumericsError, match="3 updates in a row"):
        run.train()
    assert snapshots.values("main/skipped") == [3]


def test_ignore_does_not_look(tmp_path: Path) -> None:
    run, snapshots = load(tmp_path, "train.non_finite=ignore", text=SPOILED)
    run.train()
    assert [math.isnan(weight) for weight in snapshots.weights()] == [False, False, True, True, True]
    assert snapshots.values("main/skipped") == []


def last_notes(snapshots: Snapshots) -> list[str]:
    """The notes, except those on each update that was skipped, and on losses that are NaN."""
    others = ("The update is skipped", "An incident is recorded", " is nan in iteration ")
    return [note for note in snapshots.notes if not any(text in note for text in others)]


NOTHING_MOVED = (
    "warning: steps.main: nothing was trained: NaN or infinite gradients in every update ({} skipped). "
    "Fix: check the losses and the data that they read"
)


@pytest.mark.parametrize(("at", "count"), [([0, 1, 2, 3], 4), ([0, 1, 2], None), ([1, 2, 3], None)])
def test_a_step_that_never_moved_is_told_at_the_end(tmp_path: Path, at: list[int], count: int | None) -> None:
    run, snapshots = load(tmp_path, spoiled_at(*at), text=SPOILED)
    run.train()
    assert last_notes(snapshots) == ([] if count is None else [NOTHING_MOVED.format(count)])
    assert (snapshots.weights() == [2] * 5) == bool(last_notes(snapshots))


def test_updates_that_were_not_due_are_none_that_were_skipped(tmp_path: Path) -> None:
    run, snapshots = load(tmp_path, spoiled_at(0, 1, 2, 3), "steps.main.every=2", text=SPOILED)
    run.train()
    assert last_notes(snapshots) == [NOTHING_MOVED.format(2)]


def test_a_resumed_run_remembers_that_its_step_moved(tmp_path: Path) -> None:
    for first in ([], [0, 1]):
        folder = tmp_path / str(len(first))
        folder.mkdir()
        load(folder, spoiled_at(*first), "train.iterations=2", text=SPOILED)[0].train()
        run, snapshots = load(folder, spoiled_at(2, 3), text=SPOILED)
        run.train()
        assert last_notes(snapshots) == ([NOTHING_MOVED.format(4)] if first else [])


@pytest.mark.parametrize(("at", "count"), [([0, 1, 2], 3), ([0, 2], None)])
def test_a_sum_that_has_begun_is_not_nothing(tmp_path: Path, at: list[int], count: int | None) -> None:
    options = ("steps.main.batch_sizing={}", "train.iterations=3")
    run, snapshots = load(tmp_path, spoiled_at(*at), *options, text=SPOILED)
    run.train()
    assert snapshots.weights() == [2] * 4
    assert last_notes(snapshots) == ([] if count is None else [NOTHING_MOVED.format(count)])


SEEN = "evaluate={seen: {data: train, every: 2, metrics: {mean: {type: part_mean, in: x}}}}"
BEST = "checkpoint={keep_best: {metric: seen/mean, mode: max}}"


def test_weights_that_are_no_numbers_are_told_and_never_the_best(tmp_path: Path) -> None:
    run, snapshots = load(tmp_path, "train.non_finite=ignore", SEEN, BEST, "train.iterations=2", text=SPOILED)
    run.train()
    held = "net.weight and 1 more contain NaN or infinity"
    assert "warning: main/spoil is nan in iteration 1" in snapshots.notes
    assert last_notes(snapshots) == [
        f"warning: the checkpoint after 2 iterations is not sound: {held}",
        f"warning: seen/mean 2.5 after 2 iterations is not kept as the best: {held}",
        f"warning: {held}",
    ]
    assert run.best is None


@pytest.mark.parametrize(("value", "told"), [(math.nan, ["mask contains NaN or infinity"]), (-math.inf, [])])
def test_a_buffer_may_be_infinite_and_not_nan(tmp_path: Path, value: float, told: list[str]) -> None:
    run, snapshots = load(tmp_path, spoiled_at(), SEEN, BEST, "ema=", text=SPOILED)
    run.networks["other"].register_buffer("mask", torch.tensor([0.0, value]))
    run.train()
    assert [note.split("other.")[1] for note in snapshots.notes] == told * 4
    assert run.best == (None if told else (2.5, 2))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_on_the_cpu(tmp_path: Path, precision: str) -> None:
    text = TEXT.replace("part_shift", "part_linear").replace("part_samples, ", "part_samples, width: 4, ")
    target = "steps.main.losses={target: {type: l2, in: [y, x], weight: 1.0}}"
    run, snapshots = load(
        tmp_path,
        target,
        f"train={{iterations: 40, device: cpu, precision: {precision}}}",
        "steps.main.optimizer={type: adam, lr: 0.05}",
        text=text,
    )
    run.train()
    losses = snapshots.values("main/target")
    assert losses[-3] + losses[-2] + losses[-1] < 0.1 * (losses[0] + losses[1] + losses[2])
    assert {parameter.dtype for parameter in run.networks["net"].parameters()} == {torch.float32}
    # fp16 looks for its first scale from above.
    assert snapshots.values("main/skipped")[-1] <= (5 if precision == "fp16" else 0)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_fp16_halves_its_scale_once_for_each_update_that_overflows(tmp_path: Path, accumulate: int) -> None:
    run, snapshots = load(
        tmp_path,
        spoiled_at(1, 2),
        "train={iterations: 4, device: cpu, precision: fp16}",
        f"train.accumulate={accumulate}",
        text=SPOILED,
    )
    run.train()
    assert snapshots.values("main/scale") == [65536, 32768, 16384, 16384]
    assert snapshots.values("second/scale") == [65536] * 4
    assert snapshots.values("main/skipped") == [0, 1, 2, 2]
    # The scaler counts updates since the last overflow: one each.
    trackers = [step.update.precision.state_dict()["_growth_tracker"] for step in run.steps if step.update]
    assert trackers == [1, 4]
    assert same(snapshots.taken[1]["net"], snapshots.taken[3]["net"])
    assert same(snapshots.taken[1]["steps.main"], snapshots.taken[3]["steps.main"])


def test_fp16_clips_the_true_gradients(tmp_path: Path) -> None:
    run, snapshots = load(
        tmp_path, "train={iterations: 2, device: cpu, precision: fp16}", "steps.main.clip_grad_norm=0.25"
    )
    run.train()
    assert snapshots.values("main/grad_norm") == [1, 1]
    assert snapshots.weights() == pytest.approx([0, -0.125, -0.25], rel=1e-5)


def test_fp16_waits_for_a_loss_that_comes_later(tmp_path: Path) -> None:
    late = "steps.main.losses.mean.after=2"
    run, snapshots = load(tmp_path, late, "train={iterations: 4, device: cpu, precision: fp16}")
    run.train()
    assert snapshots.weights() == [0, 0, 0, -0.5, -1]


def test_fp16_skips_though_the_file_does_not_look(tmp_path: Path) -> None:
    run, snapshots = load(
        tmp_path, "train={iterations: 4, device: cpu, precision: fp16, non_finite: ignore}", text=SPOILED
    )
    run.train()
    assert all(math.isfinite(weight) for weight in snapshots.weights())
    assert snapshots.values("main/skipped") == [0, 1, 1, 1]
