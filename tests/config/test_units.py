"""Numbers of iterations in epochs and samples, from the file to the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import artschool
from artschool.build.run import build
from artschool.errors import ConfigError, DataError
from artschool.read.read import check_file
from artschool.registry.units import Interval, Iterations, LastIteration, Units
from tests.reports.small import artschool as command

FILE = """
name: units
data: {train: {type: sklearn_digits, batch_size: 200}}
networks: {net: {type: mlp, in_features: 64, out_features: 10}}
steps:
  net:
    trains: net
    optimizer: {type: sgd, lr: 1.0}
    schedule: {type: step, step_size: 1 epoch, gamma: 0.5, warmup: 600 samples}
    injectors: {guess: {type: forward, network: net, in: image, out: guess}}
    losses:
      early: {type: cross_entropy, in: [guess, label], weight: 0.1, before: 1 epoch}
      late: {type: cross_entropy, in: [guess, label], weight: 0.1, after: 1 epoch}
      third: {type: cross_entropy, in: [guess, label], weight: 0.1, every: {of: 3, at: 2}}
train: {iterations: 2.5 epochs, device: cpu}
log: {every: 1}
"""
"""An epoch has 7 iterations: `sklearn_digits` has 1,500 samples to train on."""


class Counted(BaseModel):
    at: Iterations = 0
    every: Interval = 1
    before: LastIteration = 0


def converted(**values: Any) -> Counted:
    return Counted.model_validate(values, context=Units(batch_size=128, per_epoch=7), strict=True)


@pytest.mark.parametrize(
    ("text", "number"),
    [("2 epochs", 14), ("1 epoch", 7), ("0.5 epochs", 4), ("0.1 epochs", 1), ("0 epochs", 0), ("1k epochs", 7000),
     ("50k samples", 391), ("300 samples", 3), ("1.5M samples", 11719), ("128 samples", 1)],
)  # fmt: skip
def test_a_length_is_rounded_up_to_iterations(text: str, number: int) -> None:
    assert converted(at=text).at == number


def test_a_decimal_number_of_epochs_is_exact() -> None:
    assert Units(per_epoch=10).iterations("0.7 epochs") == 7  # 0.7 * 10 is more than 7 in binary.


def test_before_ends_where_after_begins() -> None:
    assert (converted(at="3 epochs").at, converted(before="3 epochs").before) == (21, 20)
    assert converted(before=20).before == 20


@pytest.mark.parametrize(
    ("option", "value"),
    [("at", "2epochs"), ("at", "2 epoch s"), ("at", "-1 epochs"), ("at", "10k"), ("every", "0 epochs"),
     ("before", "0 epochs"), ("at", "epochs")],
)  # fmt: skip
def test_other_texts_and_too_small_numbers_are_refused(option: str, value: str) -> None:
    with pytest.raises(ValidationError):
        converted(**{option: value})


def write(folder: Path, text: str = FILE) -> str:
    (folder / "units.yml").write_text(text)
    return str(folder / "units.yml")


def test_a_run_does_at_iterations_what_the_file_says_in_epochs(tmp_path: Path) -> None:
    config = check_file(Path(write(tmp_path)))
    run = build(config, tmp_path / "run")
    assert run.iterations == 18 and run.sections.train.iterations == 18  # 2.5 epochs of 7.
    seen = {
        name: [i for i in range(18) if loss.when.active(i)]
        for name, loss in zip(("early", "late", "third"), run.steps[0].graph.losses, strict=True)
    }
    assert seen == {"early": list(range(7)), "late": list(range(7, 18)), "third": [2, 5, 8, 11, 14, 17]}
    rates = [config.steps["net"].rates.at(i) for i in (0, 2, 6, 7, 13, 14)]
    assert rates == pytest.approx([1 / 3, 1, 1, 0.5, 0.5, 0.25])


def test_without_the_data_the_check_says_what_it_assumes_and_training_refuses(tmp_path: Path) -> None:
    text = (
        FILE.replace("type: sklearn_digits,", "type: image_folder, path: nowhere,")
        .replace("label]", "hq]")
        .replace("image,", "lq,")
    )
    config = check_file(Path(write(tmp_path, text)))
    (warning,) = [warning for warning in config.warnings if warning.path == "data.train"]
    assert "epochs are checked as if they had 1,000 iterations" in str(warning) and "nowhere" in str(warning)
    assert config.sections.train.iterations == 2500
    with pytest.raises((ConfigError, DataError), match="nowhere"):
        artschool.load(write(tmp_path, text), run_dir=tmp_path / "run")


def test_data_of_another_length_than_the_checked_one_is_refused(tmp_path: Path) -> None:
    config = check_file(Path(write(tmp_path)))
    config.units.per_epoch = 8
    with pytest.raises(DataError, match="an epoch has 7 iterations, and the file was checked with 8"):
        build(config, tmp_path / "run")


def test_a_clash_depends_on_the_length_of_an_epoch(tmp_path: Path) -> None:
    twice = FILE.replace(
        "injectors: {guess: {type: forward, network: net, in: image, out: guess}}",
        "injectors: {a: {type: forward, network: net, in: image, out: guess, before: 1 epoch},"
        " b: {type: forward, network: net, in: image, out: guess, after: N}}",
    )
    check_file(Path(write(tmp_path, twice.replace("N", "7"))))
    check_file(Path(write(tmp_path, twice.replace("N", "1 epoch"))))
    for start, problem in (("6", "both run at iteration 6"), ("8", "at iteration 7, when no earlier component")):
        with pytest.raises(ConfigError, match=problem):
            check_file(Path(write(tmp_path, twice.replace("N", start))))


def test_plan_and_explain_show_iterations(tmp_path: Path) -> None:
    file = write(tmp_path)
    code, printed = command("plan", file)
    assert code == 0 and "18 iterations of 200 samples; 2.57 epochs of 7 iterations" in printed
    assert "third 0.1 every {of: 3, at: 2}" in printed and "0.5 at 7" in printed
    _, printed = command("explain", file, "steps.net.losses.early.before")
    assert "means    6, with 7 iterations in an epoch" in printed
    _, printed = command("explain", file, "steps.net.schedule.warmup")
    assert "means    3, with 200 samples in an iteration" in printed


def test_a_remainder_is_less_than_its_interval(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"third\.every\.at: expected less than 3, got 3"):
        check_file(Path(write(tmp_path, FILE.replace("at: 2", "at: 3"))))
