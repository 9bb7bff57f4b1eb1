"""`metrics.jsonl`: what a line holds, and that each iteration stands in it once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from artschool.engine.run import Run
from artschool.logs.jsonl import JsonlLogger
from tests.engine import toy_parts
from tests.engine.toy_parts import TEXT


def trained(folder: Path, *overrides: str, text: str = TEXT) -> Run:
    run, _ = toy_parts.load(folder, *overrides, text=text)
    run.loggers = [JsonlLogger()]
    return run.train()


def lines(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


def test_a_line_holds_the_numbers_of_its_iteration(tmp_path: Path) -> None:
    run = trained(tmp_path, "train.iterations=2")
    found = lines(run)
    assert all(record.pop("seconds") >= 0 for record in found)
    # Samples 0 and 1, then 2 and 3, shifted by 0 and then by -1/2.
    assert found == [
        {"iteration": 0, "samples": 2, "main/mean": 0.5, "main/total": 0.5, "main/lr": 0.5, "main/skipped": 0},
        {"iteration": 1, "samples": 4, "main/mean": 2.0, "main/total": 2.0, "main/lr": 0.5, "main/skipped": 0},
    ]


def test_numbers_between_log_points_are_averaged(tmp_path: Path) -> None:
    found = lines(trained(tmp_path, "train.iterations=5", "log.every=3"))
    # The means of the samples are 0.5, 2.5, 4.5, 0.5, 2.5, the weights 0, -0.5, ... -2.
    assert [(record["iteration"], record["main/mean"]) for record in found] == [(2, 2.0), (4, -0.25)]


def test_numbers_that_are_not_finite_are_text(tmp_path: Path) -> None:
    logger = JsonlLogger()
    run, _ = toy_parts.load(tmp_path)
    run.folder.mkdir()
    logger.start(run)
    logger.log({"iteration": 0, "a": float("nan"), "b": float("inf"), "c": float("-inf"), "d": 0.1})
    logger.close()
    text = (run.folder / "metrics.jsonl").read_text()
    assert text == '{"iteration": 0, "a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 0.1}\n'


def test_a_loss_that_is_nan_is_in_the_file(tmp_path: Path) -> None:
    run = trained(tmp_path, "steps.main.losses.spoil={type: part_spoil, in: y, at: [1], weight: 1.0}")
    assert [record["main/spoil"] == "NaN" for record in lines(run)] == [False, True, False, False]


def test_what_was_logged_after_the_checkpoint_is_dropped_with_half_lines(tmp_path: Path) -> None:
    run = trained(tmp_path, "train.iterations=3")
    kept = (run.folder / "metrics.jsonl").read_bytes()
    lost = b'{"iteration": 3, "samples": 8}\n{"iteration": 4, "samples": 10}\nnot json\n[1]\n{"samples": 1}\n'
    lost += b'{"iteration": 1e999}\n' + b"[" * 100_000 + b"\n"
    (run.folder / "metrics.jsonl").write_bytes(kept + lost + b'{"iteration": 2, "sam')
    resumed = trained(tmp_path, "train.iterations=5")
    assert (resumed.folder / "metrics.jsonl").read_bytes().startswith(kept)
    assert [record["iteration"] for record in lines(resumed)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("lost", "said"), [(0, []), (1, ["1 line"]), (2, ["2 lines"])])
def test_lines_that_cannot_be_read_are_removed_with_a_warning(tmp_path: Path, lost: int, said: list[str]) -> None:
    run, _ = toy_parts.load(tmp_path)
    run.folder.mkdir()
    path, notes = run.folder / "metrics.jsonl", list[str]()
    run.note = notes.append  # type: ignore[method-assign, assignment]
    run.iteration = 3
    path.write_bytes(b'{"iteration": 1}\n' + b"dama\xffged\n" * lost + b'{"iteration": 2}\n{"iteration": 3}\n{"itera')
    logger = JsonlLogger()
    logger.start(run)
    logger.close()
    assert path.read_text() == '{"iteration": 1}\n{"iteration": 2}\n'
    assert notes == [f"warning: {path}: removed what cannot be read: {each}" for each in said]


def test_a_line_is_in_the_file_as_soon_as_it_is_logged(tmp_path: Path) -> None:
    logger = JsonlLogger()
    run, _ = toy_parts.load(tmp_path)
    run.folder.mkdir()
    logger.start(run)
    logger.log({"iteration": 0})
    assert lines(run) == [{"iteration": 0}]
    logger.close()
