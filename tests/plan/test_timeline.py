"""The timeline says what a real run then does."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from artschool.build.data import train_batches
from artschool.config.when import Cycle
from artschool.engine.run import Run
from artschool.plan.report import Range, Timeline
from artschool.plan.timeline import timeline
from artschool.read.read import check_file
from tests.engine import toy_parts, toy_run

pytestmark = pytest.mark.usefixtures("registries")
GATES = """
name: gates
seed: 3
plugins: [PLUGIN]
data: {train: {type: part_samples, length: 7, batch_size: 2, drop_last: false}}
networks:
  one: {type: part_shift}
  two: {type: part_shift, after: 5, before: 19}
  three: {type: part_shift, every: 2}
steps:
  both:
    trains: [one, two]
    every: 3
    optimizer: {type: sgd, lr: 0.5, before: 20, param_groups: [{match: "two.*", lr: 0.25, schedule_from: 4}]}
    schedule: [{type: step, step_size: 4, gamma: 0.5, warmup: 5}, {type: linear, from: 12, iterations: 6, scale: 2.0}]
    injectors:
      one: {type: forward, network: one, in: x, out: y1}
      two: {type: forward, network: two, in: x, out: y2}
    losses:
      often: {type: mean, in: y1, weight: 1.0, before: 13}
      seldom: {type: mean, in: y2, weight: 0.5, every: 2}
  late:
    trains: [three, one]
    after: 3
    before: 21
    optimizer: {type: sgd, lr: 0.125, every: 2}
    injectors:
      three: {type: forward, network: three, in: x, out: y3}
      one: {type: forward, network: one, in: y3, out: y4}
    losses:
      thirds: {type: mean, in: y4, weight: 1.0, every: 3}
      fifths: {type: mean, in: y4, weight: 2.0, every: 5, after: 10}
  watched:
    trains: one
    optimizer: none
    after: 7
    losses: {seen: {type: mean, in: y1, weight: 1.0, every: 4}}
train: {iterations: 25, device: cpu}
log: {every: 1}
checkpoint: {every: 10, keep_last: 99}
"""


def plan_of(file: Path, *overrides: str) -> Timeline:
    config = check_file(file, overrides)
    return timeline(config, train_batches(config))


def updates(plan: Timeline) -> dict[str, Range]:
    return {network.name: network.updates for network in plan.networks}


def assert_as_in(run: Run, recorder: toy_run.Recorder, plan: Timeline) -> None:
    """What each record of a run with `log.every: 1` tells is what the plan told."""
    assert [record["iteration"] for record in recorder.records] == [*range(plan.start, plan.stop)]
    assert run.samples == plan.samples == recorder.records[-1]["samples"]
    for step in plan.steps:
        update = toy_parts.step_of(run, step.name).update
        assert (update.count if update else 0) == step.updates.least == step.updates.most
        counts = [updates.get(step.name, 0) for updates in recorder.updates]
        trained = [plan.start + at for at, (before, after) in enumerate(pairwise(counts)) if before != after]
        assert [i for i in range(plan.stop) if i in step.trains] == trained
        for loss in step.losses:
            logged = [int(r["iteration"]) for r in recorder.records if f"{step.name}/{loss.name}" in r]
            assert [i for i in range(plan.stop) if i in loss.computed] == logged
        for span in step.spans:
            for iteration in range(span.first, span.last + 1):
                told = {
                    name for name in span.losses if iteration in next(x for x in step.losses if x.name == name).computed
                }
                record = recorder.records[iteration - plan.start]
                assert told == {loss.name for loss in step.losses if f"{step.name}/{loss.name}" in record}
        for record in recorder.records:
            rates = [step.rates(group, [int(record["iteration"])])[0][1] for group in step.groups]
            logged_rates = [value for name, value in record.items() if re.fullmatch(rf"{step.name}/lr(/\d+)?", name)]
            assert logged_rates or record["iteration"] not in trained
            if logged_rates and None not in rates:
                assert logged_rates == (rates[:1] if len(set(rates)) == 1 else rates)
    assert plan.saves.count == Range(len(run.store.numbers()), len(run.store.numbers()))


@pytest.mark.parametrize(
    "overrides", [[], ["train.start_iteration=6", "train.start_samples=100"], ["train.iterations=4"]], ids=str
)
def test_gates_of_everything_come_as_in_a_run(tmp_path: Path, overrides: list[str]) -> None:
    text = GATES.replace("PLUGIN", str(Path(toy_parts.__file__)))
    run, recorder = toy_parts.load(tmp_path, *overrides, text=text)
    run.train()
    plan = plan_of(toy_run.write(tmp_path, *overrides, text=text))
    assert_as_in(run, recorder, plan)


@pytest.mark.parametrize(
    ("average", "count"),
    [("{every: 4}", 7), ("{every: {of: 4, at: 3}}", 6), ("{every: 10, start: 5}", 7), ("{start: 5}", 8)],
)
def test_averages_with_an_interval_are_counted(tmp_path: Path, average: str, count: int) -> None:
    """0 4 .. 24; 3 7 .. 23; 0 to 4, 10 and 20; and those that move the network."""
    text = GATES.replace("PLUGIN", str(Path(toy_parts.__file__)))
    plan = plan_of(toy_run.write(tmp_path, f"ema={{networks: {{one: {average}}}}}", text=text))
    assert [network.average for network in plan.networks] == [Range(count, count), None, None]


def test_gates_of_everything_by_hand(tmp_path: Path) -> None:
    text = GATES.replace("PLUGIN", str(Path(toy_parts.__file__)))
    plan = plan_of(toy_run.write(tmp_path, text=text))
    both, late, watched = plan.steps
    # Multiples of 3 up to 20, with `often` up to 13 (0 3 6 9 12), or `seldom` at even ones (0 6 12 18).
    assert [i for i in range(25) if i in both.trains] == [0, 3, 6, 9, 12, 18]
    # That `two` begins at 5 and `one` stays alone at 20 changes nothing of it.
    assert [(span.first, span.last, span.every, span.losses) for span in both.spans] == [
        (0, 13, (Cycle(3),), ("often", "seldom")),
        (14, 20, (Cycle(6),), ("seldom",)),
        (21, 24, (), ("seldom",)),
    ]
    # 5..19 of these.
    assert both.networks == {"one": Range(6, 6), "two": Range(4, 4)}
    # Where it trains next after the warm-up ends at 4, the second phase begins at 12 and ends at 18; for `two` 4 later.
    others, shifted = (both.rates(group) for group in both.groups)
    assert others == [(0, 0.1), (6, 0.25), (12, 1.0), (18, 0.0)]
    assert shifted == [(0, 0.25), (6, pytest.approx(0.15)), (9, 0.125), (18, pytest.approx(1 / 3))]
    # Even ones of 3..21: multiples of 3 are 6 12 18, of 5 from 10 on 10 20.
    assert [i for i in range(25) if i in late.trains] == [6, 10, 12, 18, 20]
    assert watched.updates == Range(0, 0) and [i for i in range(25) if i in watched.losses[0].computed] == [
        8,
        12,
        16,
        20,
        24,
    ]
    assert updates(plan) == {"one": Range(11, 11), "two": Range(4, 4), "three": Range(5, 5)}
    # Four batches an epoch of 7 samples: six epochs, and one batch of 2.
    assert plan.samples == 44 and plan.epochs(25) == 6.25


def test_a_gan_with_evaluations_comes_as_in_a_run(tmp_path: Path) -> None:
    overrides = ["log.every=1", "checkpoint.keep_last=99", "checkpoint.every=8", "evaluate.held_out.every=6"]
    run = toy_run.load(tmp_path, *overrides)
    recorder = toy_run.recorded(run)
    run.train()
    plan = plan_of(toy_run.write(tmp_path, *overrides))
    assert_as_in(run, recorder, plan)
    times = [r["iteration"] + 1 for r in recorder.records if "held_out/psnr" in r]
    (event,) = plan.evaluations
    assert times == [6, 12, 18, 20] and event.count == Range(4, 4)
    assert [event.points.first, event.points.last] == [6, 20]
    # From 4 on at even iterations.
    assert updates(plan) == {"gen": Range(20, 20), "critic": Range(8, 8)}


def test_batch_sizing_and_requires_give_bounds_that_hold_a_run(tmp_path: Path) -> None:
    text = toy_parts.TEXT.replace("PLUGIN", str(Path(toy_parts.__file__)))
    overrides = ["train.iterations=11", "steps.main.batch_sizing={max_full_batches: 3}"]
    run, _ = toy_parts.load(tmp_path, *overrides, text=text)
    run.train()
    plan = plan_of(toy_run.write(tmp_path, *overrides, text=text))
    assert plan.steps[0].updates == Range(3, 5)  # Of three iterations each, or of two.
    update = toy_parts.step_of(run, "main").update
    assert update is not None and 3 <= update.count <= 5
    plan = plan_of(toy_run.write(tmp_path, "steps.main.requires=[x]", text=text))
    assert plan.steps[0].updates == Range(0, 4)


def test_the_best_may_be_saved_besides(tmp_path: Path) -> None:
    keep_best = "checkpoint.keep_best={metric: held_out/psnr, mode: max}"
    plan = plan_of(toy_run.write(tmp_path, keep_best, "checkpoint.every=8", "evaluate.held_out.every=5"))
    # 8 16 20 for sure; 5 10 15 perhaps.
    assert plan.saves.count == Range(3, 6)


def test_epochs_are_as_many_iterations_as_the_data_gives(tmp_path: Path) -> None:
    # 40 samples in batches of 8.
    plan = plan_of(toy_run.write(tmp_path, "train.iterations=null", "train.epochs=3"))
    assert plan.stop == 15 and plan.epochs(15) == 3.0 and plan.samples == 120
