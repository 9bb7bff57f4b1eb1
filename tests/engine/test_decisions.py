"""Rates that fall on a plateau, and the end of training, by a number of the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from artschool.components.reduce_on_plateau import ReduceOnPlateau
from artschool.engine.run import Run
from artschool.errors import ConfigError
from artschool.storage.checkpoint_store import CheckpointStore
from tests.engine import toy_run
from tests.engine.test_ranks import finish, launch
from tests.engine.test_value_gates import TEXT as GATED
from tests.engine.toy_run import Recorder, fingerprint, recorded, write
from tests.reports.small import artschool

pytestmark = pytest.mark.usefixtures("registries")
TEXT = GATED.replace("    while: {value: x, below: 1, until: 3}\n", "").replace("iterations: 6", "iterations: 20")
"""Logs the numbers 0.5, 2.0, 3.5, -1.0, 0.5, 2.0, -2.5, ...: means of 0.5, 2.5 and 4.5, each minus 0.5 an update."""
STOP = "train.stop={metric: main/mean, mode: min, patience: 2}"
PLATEAU = "steps.main.schedule={type: reduce_on_plateau, metric: main/mean, patience: 1, factor: 0.5}"


def trained(folder: Path, *overrides: str, text: str = TEXT) -> tuple[Run, Recorder]:
    folder.mkdir(exist_ok=True)
    run = toy_run.load(folder, *overrides, text=text)
    recorder = recorded(run)
    return run.train(), recorder


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(("patience", "cooldown", "min_rate"), [(0, 0, 0.0), (2, 0, 0.02), (1, 3, 0.0)])
def test_the_rates_are_those_of_torch(
    mode: str, threshold_mode: str, patience: int, cooldown: int, min_rate: float
) -> None:
    options: dict[str, Any] = {
        "mode": mode,
        "factor": 0.5,
        "patience": patience,
        "threshold": 0.05,
        "threshold_mode": threshold_mode,
    }
    optimizer = torch.optim.SGD([torch.zeros(())], lr=0.1)
    expected = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, eps=0.0, cooldown=cooldown, min_lr=min_rate, **options
    )
    schedule = ReduceOnPlateau("number", cooldown=cooldown, min_rate=min_rate, **options)
    values = torch.randn(60, generator=torch.Generator().manual_seed(0)).cumsum(0) / 4 + 3
    for index, value in enumerate(values.tolist()):
        expected.step(value)
        schedule.see(value)
        assert schedule(0.1, index) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-8)
    assert schedule(0.1, 0) < 0.1


def test_a_schedule_lowers_the_rate_on_a_plateau(tmp_path: Path) -> None:
    _, recorder = trained(tmp_path, PLATEAU, "train.iterations=7")
    # 2.0 and 3.5 are not below 0.5; then the rate is halved, and -1.0 is better.
    assert recorder.values("main/mean")[:4] == [0.5, 2.0, 3.5, -1.0]
    assert recorder.values("main/lr") == [0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


def test_a_phase_sees_only_the_numbers_of_its_own_iterations(tmp_path: Path) -> None:
    _, recorder = trained(tmp_path, PLATEAU.replace("factor", "from: 2, factor"), "train.iterations=6")
    assert recorder.values("main/lr") == [0.5] * 6  # 3.5, then -1.0 is better, and one more is within the patience.


def test_a_number_that_falls_on_a_plateau_is_logged_as_it_is_used(tmp_path: Path) -> None:
    schedule = PLATEAU.partition("=")[2]
    _, recorder = trained(tmp_path, f"steps.main.losses.mean.weight={schedule}", "train.iterations=12")
    used = [t / m for t, m in zip(recorder.values("main/total"), recorder.values("main/mean"), strict=True)]
    assert recorder.values("main/mean/weight") == pytest.approx(used) and used[-1] < 1.0


@pytest.mark.parametrize("override", [PLATEAU, f"{STOP[:-2]}3}}"])
def test_a_resume_has_the_bits(tmp_path: Path, override: str) -> None:
    whole, _ = trained(tmp_path / "whole", override)
    trained(tmp_path / "parts", override, "train.iterations=3")
    assert fingerprint(trained(tmp_path / "parts", override)[0]) == fingerprint(whole)


def test_training_ends_when_a_number_does_not_improve(tmp_path: Path) -> None:
    run, recorder = trained(tmp_path, STOP)
    assert (run.iteration, run.is_finished) == (3, True)
    assert recorder.values("main/mean") == [0.5, 2.0, 3.5]
    assert recorder.notes == ["main/mean has not improved on 0.5 in 2 measurements: training ends after 3 iterations"]
    assert CheckpointStore(tmp_path / "run" / "checkpoints").numbers() == [3]


@pytest.mark.parametrize("number", ["lr", "grad_norm"])
def test_numbers_of_updates_decide_too(tmp_path: Path, number: str) -> None:
    overrides = ["steps.main.clip_grad_norm=9", STOP.replace("main/mean", f"main/{number}")]
    run, recorder = trained(tmp_path, *overrides)
    assert recorder.values(f"main/{number}") == [{"lr": 0.5, "grad_norm": 1.0}[number]] * 3 and run.iteration == 3
    code, printed = artschool("check", "--trace", str(write(tmp_path, *overrides, text=TEXT)))
    assert code == 0, printed


@pytest.mark.parametrize(
    ("number", "override"),
    [("grad_norm", "steps.main.clip_grad_norm=null"), ("lr", "steps.main.optimizer.param_groups=[{lr: 0.1}]")],
)
def test_numbers_of_updates_that_are_not_logged_decide_nothing(tmp_path: Path, number: str, override: str) -> None:
    with pytest.raises(ConfigError, match=f"no step or evaluation logs 'main/{number}'"):
        trained(tmp_path, override, STOP.replace("main/mean", f"main/{number}"))


def test_a_run_that_has_ended_stays_done_and_says_why(tmp_path: Path) -> None:
    trained(tmp_path, STOP)
    again = str(write(tmp_path, STOP, text=TEXT)), "--run-dir", str(tmp_path / "run"), "--no-trace"
    code, printed = artschool("train", *again)
    assert code == 0
    assert "already finished (3 of 3 iterations): main/mean has not improved on 0.5 in 2 measurements" in printed


def test_more_patience_resumes_a_run_that_has_ended(tmp_path: Path) -> None:
    trained(tmp_path, STOP)
    run, recorder = trained(tmp_path, STOP.replace("patience: 2", "patience: 4"))
    assert run.iteration == 20 and recorder.values("main/mean")[0] == -1.0


def test_the_last_iteration_is_evaluated_logged_and_saved_though_nothing_was_due(tmp_path: Path) -> None:
    evaluations = (
        "data.val={type: part_samples, length: 4, batch_size: 2}",
        "evaluate.often={data: val, every: 2, steps: [main], ema: false}",
        "evaluate.late={data: val, every: 100, steps: [main], ema: false}",
        "log.every=100",
        "train.stop={metric: often/main/mean, mode: max, patience: 2}",
    )
    run, recorder = trained(tmp_path, *evaluations)
    # The mean falls by 0.5 an update, so the second and third evaluation are no improvement.
    assert run.iteration == 6
    assert recorder.records[-1]["often/main/mean"] == recorder.records[-1]["late/main/mean"] == 1.5 - 6 * 0.5
    assert "main/mean" in recorder.records[-1]
    state = json.loads((tmp_path / "run/checkpoints/00000006/state.json").read_text())
    assert state["pending"] is False and state["decisions"]["train.stop"]["count"] == 2


def test_plan_and_explain_know_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, STOP, PLATEAU, text=TEXT)
    plan = " ".join(artschool("plan", "toy.yml")[1].split())
    assert "ends earlier if main/mean does not improve in 2 measurements" in plan
    assert "rate 0.5 at 0, 0.5 at 19; less when main/mean stops improving" in plan
    assert "read by" in artschool("explain", "toy.yml", "train.stop.metric")[1]
    assert "ReduceLROnPlateau" in artschool("components", "schedules", "reduce_on_plateau")[1]


def test_a_plateau_of_a_number_that_nothing_logs_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"schedule\.metric: no step or evaluation logs 'main/man'"):
        toy_run.load(tmp_path, PLATEAU.replace("main/mean", "main/man"), text=TEXT)


@pytest.mark.soak
def test_two_processes_end_together(tmp_path: Path) -> None:
    """Over five seconds: two processes import torch."""
    code, output = finish(launch(tmp_path, write(tmp_path, STOP, PLATEAU, text=TEXT), 2))
    assert code == 0 and "training ends after 3 iterations" in output, output
    assert CheckpointStore(tmp_path / "run" / "checkpoints").numbers() == [3]
