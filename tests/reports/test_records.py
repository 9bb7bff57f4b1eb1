"""A record has what was measured since the last one, and nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from artschool.engine.evaluate import Evaluation
from artschool.errors import Stopped
from artschool.logs.console import ConsoleLogger
from tests.engine.toy_run import StopAfter, load, recorded

TWO = (
    "train.iterations=12",
    "evaluate.held_out.every=4",
    "evaluate.other={data: val, every: 6, steps: [gen], metrics: {psnr: {type: psnr, in: [sr, hq]}}}",
    "log.every=3",
)


def names_by_iteration(folder: Path, *options: str) -> dict[int, set[str]]:
    run = load(folder, *options)
    recorder = recorded(run)
    run.train()
    return {int(record["iteration"]) + 1: set(record) for record in recorder.records}


def test_an_evaluation_is_logged_when_it_has_run(tmp_path: Path) -> None:
    names = names_by_iteration(tmp_path, *TWO)
    assert sorted(names) == [3, 4, 6, 8, 9, 12]
    assert [finished for finished in names if "held_out/psnr" in names[finished]] == [4, 8, 12]
    assert [finished for finished in names if "other/psnr" in names[finished]] == [6, 12]
    assert [finished for finished in names if "gen/pixel" in names[finished]] == [3, 6, 9, 12]


def test_a_loss_of_an_evaluation_that_was_not_computed_is_not_repeated(tmp_path: Path) -> None:
    run = load(tmp_path, *TWO, "steps.gen.losses.adversarial.after=0", "steps.gen.losses.adversarial.before=7")
    recorder = recorded(run)
    run.train()
    assert ["other/gen/adversarial" in record for record in recorder.records if "other/psnr" in record] == [True, False]
    assert "other/gen/adversarial" not in run.last_evaluation
    assert run.last_evaluation.keys() == {"held_out/psnr", "other/psnr", "other/gen/pixel"}


def test_the_best_is_one_that_was_measured_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metric improves after 4 iterations, and is not measured after 6."""

    def evaluate(self: Evaluation, iteration: int, device: torch.device, *_: object) -> dict[str, float]:
        return {f"{self.name}/psnr": {4: 2.0, 8: 3.0, 12: 1.0}.get(iteration, 9.0)}

    monkeypatch.setattr(Evaluation, "run", evaluate)
    run = load(tmp_path, *TWO, "checkpoint={keep_best: {metric: held_out/psnr, mode: max}}")
    recorded(run)
    run.train()
    assert run.best == (3.0, 8)
    assert run.store.numbers() == [4, 8, 12]


@pytest.mark.parametrize(
    ("gates", "logged"),
    [
        (("steps.critic.after=4", "steps.critic.every=2"), [6, 9, 12]),  # At 4, at 6 and 8, at 10.
        (("steps.critic.after=0", "steps.critic.every=5"), [3, 6, 12]),  # At 0, 5 and 10.
        (("steps.critic.after=0", "steps.critic.every=1", "networks.critic.after=7"), [9, 12]),
        (("steps.critic.after=0", "steps.critic.every=1", "networks.critic.before=4"), [3, 6]),
    ],
)
def test_the_rate_of_a_step_is_logged_if_it_has_trained(
    tmp_path: Path, gates: tuple[str, ...], logged: list[int]
) -> None:
    names = names_by_iteration(tmp_path, "train.iterations=12", "evaluate={}", *gates)
    for name in ("critic/lr", "critic/skipped"):
        assert [finished for finished in names if name in names[finished]] == logged


def test_a_resumed_run_logs_the_rate_of_the_last_update(tmp_path: Path) -> None:
    options = (
        "train.iterations=7",
        "log.every=7",
        "steps.critic.after=0",
        "steps.critic.every=4",
        "steps.critic.schedule={type: linear, iterations: 10}",
    )
    (tmp_path / "whole").mkdir()
    whole = load(tmp_path / "whole", *options)
    expected = recorded(whole)
    whole.train()
    run = load(tmp_path, *options)
    run.loggers = [StopAfter(6)]
    with pytest.raises(Stopped):
        run.train()
    run = load(tmp_path, *options)
    recorder = recorded(run)
    run.train()
    assert recorder.values("critic/lr") == expected.values("critic/lr") == [pytest.approx(0.6e-2)]


def test_the_display_marks_older_numbers(tmp_path: Path) -> None:
    file = io.StringIO()
    run = load(tmp_path, "train.iterations=7", "evaluate={}", "steps.critic.after=0", "networks.critic.before=1")
    logger = ConsoleLogger(Console(file=file, width=160, force_terminal=True, color_system=None))
    run.loggers = [logger]
    logger.start(run)
    for finished, name in ((3, "a/x"), (6, "b/x")):
        logger.log({"iteration": finished - 1, "samples": 0, "seconds": 0.0, name: 1.0})
    logger.close()
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert lines[-2:] == ["a  x 1   (after 3)", "b  x 1"]
