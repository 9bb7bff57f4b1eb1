"""Injectors that run in some places only, networks' averages as networks, and steps that an evaluation runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from artschool.engine.ema import Ema
from artschool.errors import ConfigError
from artschool.registry import datasets, injectors, metrics
from tests.engine import toy_run

SEEN: list[dict[str, Any]] = []


def witness(x: Tensor, *, note: str = "") -> Tensor:
    """Note what comes in, and return noise of its shape."""
    noise = torch.rand_like(x)
    SEEN.append({"note": note, "noise": noise, "size": len(x), "grad": torch.is_grad_enabled()})
    return noise


def sample_l1(fake: Tensor, real: Tensor) -> Tensor:
    """(B, ...) to (B,)."""
    return (fake - real).abs().flatten(1).mean(1)


@pytest.fixture(autouse=True)
def _components() -> None:
    injectors.register("flow_witness", witness)
    metrics.register("sample_l1", sample_l1)
    SEEN.clear()


def trained(folder: Path, *overrides: str) -> toy_run.Recorder:
    run = toy_run.load(folder, "train.iterations=1", *overrides)
    recorder = toy_run.recorded(run)
    run.train()
    return recorder


def sizes(note: str) -> list[int]:
    return [seen["size"] for seen in SEEN if seen["note"] == note]


def test_only_says_where_an_injector_runs(tmp_path: Path) -> None:
    trained(
        tmp_path,
        "evaluate.held_out.steps=[gen]",
        "evaluate.held_out.injectors={}",
        "steps.gen.injectors.t={type: flow_witness, note: t, in: lq, out: _, only: training}",
        "steps.gen.injectors.e={type: flow_witness, note: e, in: lq, out: _, only: evaluation}",
        "steps.gen.injectors.b={type: flow_witness, note: b, in: lq, out: _}",
    )
    assert (sizes("t"), sizes("e"), sizes("b")) == ([8], [4, 3], [8, 4, 3])


def test_what_runs_in_training_only_is_missing_in_the_evaluation_of_its_step(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"evaluate.*|steps\.gen\.losses\.pixel\.fake: reads 'sr'") as error:
        toy_run.load(
            tmp_path,
            "evaluate.held_out={data: val, steps: [gen]}",
            "steps.gen.injectors.up={type: forward, network: gen, in: lq, out: sr, only: training}",
        )
    assert "which no earlier component writes" in str(error.value)


def test_once_computes_for_the_first_part_and_gives_its_values_to_the_others(tmp_path: Path) -> None:
    trained(
        tmp_path,
        "train.accumulate=4",
        "steps.gen.injectors.o={type: flow_witness, note: once, in: lq, out: o, once: true}",
        "steps.gen.injectors.p={type: flow_witness, note: each, in: o, out: _}",
    )
    assert sizes("once") == [2] and sizes("each") == [2, 2, 2, 2]


def test_no_grad_computes_without_a_gradient(tmp_path: Path) -> None:
    trained(
        tmp_path,
        "steps.gen.injectors.o={type: flow_witness, note: off, in: lq, out: _, no_grad: true}",
        "steps.gen.injectors.p={type: flow_witness, note: on, in: lq, out: _}",
    )
    assert [seen["grad"] for seen in SEEN] == [False, True]


def test_an_evaluation_reports_the_losses_of_steps_as_means_over_samples(tmp_path: Path) -> None:
    recorder = trained(
        tmp_path,
        "evaluate.held_out.steps=[gen]",
        "evaluate.held_out.injectors={}",
        "evaluate.held_out.metrics={l1: {type: sample_l1, in: [sr, hq]}}",
        "evaluate.held_out.ema=false",
    )
    assert recorder.values("held_out/gen/pixel") == pytest.approx(recorder.values("held_out/l1"))
    assert not recorder.values("held_out/gen/adversarial")  # It starts at iteration 6.


def test_an_evaluation_draws_the_same_numbers_with_any_number_of_workers_and_each_time(tmp_path: Path) -> None:
    drawn = []
    for workers in (0, 1):
        SEEN.clear()
        (tmp_path / str(workers)).mkdir()
        run = toy_run.load(
            tmp_path / str(workers),
            f"data.val.workers={workers}",
            "evaluate.held_out.injectors.w={type: flow_witness, in: sr, out: _}",
        )
        for _ in range(2):
            run.evaluate()
        drawn.append([seen["noise"] for seen in SEEN])
    assert len(drawn[0]) == 4 and not torch.equal(drawn[0][0][:3], drawn[0][1])
    assert all(torch.equal(a, b) for a, b in zip(drawn[0], drawn[0][2:] + drawn[0][:2], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))


def test_a_moving_average_is_a_network_of_its_own(tmp_path: Path) -> None:
    run = toy_run.load(
        tmp_path,
        "train.iterations=3",
        "ema={decay: 0.5, networks: {gen: 0.25}}",
        "steps.gen.injectors.slow={type: forward, network: gen.ema, in: lq, out: slow}",
        "steps.gen.losses.slow={type: l1, in: [sr, slow], weight: 1.0}",
    )
    recorder = toy_run.recorded(run)
    ema: Ema = run.emas["gen"]
    before = [p.clone() for p in ema.module.parameters()]
    assert ema.decay == 0.25
    run.train()
    assert any(not torch.equal(a, b) for a, b in zip(before, ema.module.parameters(), strict=True))
    assert all(p.grad is None and not p.requires_grad for p in ema.module.parameters())
    assert recorder.values("gen/slow")[-1] > 0


@pytest.mark.parametrize(
    ("overrides", "message", "hint"),
    [
        (
            ["steps.gen.injectors.up.network=critic.ema"],
            "steps.gen.injectors.up.network: network 'critic' has no moving average",
            "Fix: add `ema: {networks: [critic]}`.",
        ),
        (
            ["steps.gen.trains=gen.ema"],
            "steps.gen.trains: trains 'gen.ema', which is a moving average: it follows 'gen'",
            "Fix: write `trains: gen`.",
        ),
        (["steps.gen.trains=critic.ema"], "steps.gen.trains: network 'critic' has no moving average", ""),
        (
            ["evaluate.held_out.steps=[gne]"],
            "evaluate.held_out.steps: unknown step 'gne'",
            "Available steps: critic, gen. Did you mean 'gen'?",
        ),
        (
            ["evaluate.held_out.metrics={}"],
            "evaluate.held_out: missing option 'metrics' or 'steps'",
            "An evaluation computes metrics, shows samples, or reports the losses of the steps that it lists.",
        ),
        (
            ["evaluate.held_out.injectors.up.once=true"],
            "evaluate.held_out.injectors.up.once: not allowed in an evaluation, which runs every component; remove it",
            "",
        ),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, overrides: list[str], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as error:
        toy_run.load(tmp_path, *overrides)
    fault = error.value.faults[0]
    assert f"{fault.path}: {fault.message}" == message
    assert hint in fault.hint


def test_the_best_checkpoint_may_be_chosen_by_a_loss_of_a_step(tmp_path: Path) -> None:
    run = toy_run.load(
        tmp_path,
        "train.iterations=1",
        "evaluate.held_out={data: val, steps: [gen]}",
        "checkpoint.keep_best={metric: held_out/gen/pixel, mode: min}",
    )
    run.train()
    assert run.best is not None and run.best[0] == run.last_evaluation["held_out/gen/pixel"]


class Sometimes:
    """Batches of which every second one lacks a key."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = {"x": torch.rand(3, 4, 4), "hq": torch.rand(3, 8, 8)}
        return sample | ({"extra": 1} if index % 4 < 2 else {})


def test_a_step_is_skipped_for_a_batch_that_lacks_what_it_requires(tmp_path: Path) -> None:
    datasets.register("sometimes", Sometimes)
    run = toy_run.load(
        tmp_path,
        "data={train: {type: sometimes, batch_size: 2, shuffle: false}}",
        "steps={gen: {trains: gen, requires: [extra], optimizer: {type: sgd, lr: 0.1}}}",
        "steps.gen.injectors={up: {type: forward, network: gen, in: x, out: sr}}",
        "steps.gen.losses={pixel: {type: l1, in: [sr, hq], weight: 1.0}}",
        "evaluate={}",
        "log.every=1",
        "train.iterations=4",
    )
    recorder = toy_run.recorded(run)
    run.train()
    assert ["gen/pixel" in record for record in recorder.records] == [True, False, True, False]
    assert run.steps[0].update is not None and run.steps[0].update.count == 2


def test_a_run_may_count_from_elsewhere(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, "train.start_iteration=18", "train.start_samples=1000", "log.every=1")
    recorder = toy_run.recorded(run)
    run.train()
    assert [record["iteration"] for record in recorder.records] == [18, 19]
    assert [record["samples"] for record in recorder.records] == [1008, 1016]
    assert recorder.values("gen/lr") == [1e-3, 1e-3]  # The milestone at 12 has passed.


def test_samples_are_counted_over_epochs(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, "data.train.drop_last=false", "data.train.length=20")
    counted = []
    for iteration in range(8):
        run.iteration = iteration
        counted.append(run.samples)
    assert counted == [0, 8, 16, 20, 28, 36, 40, 48]
