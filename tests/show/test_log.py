"""The log of a run is read while it is written, cut by a resume, or damaged."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from artschool.show import log as show_log
from artschool.show.log import Log, thinned
from tests.show.made import add_lines, record


def read(path: Path) -> Log:
    log = Log(path)
    log.update()
    return log


def test_what_is_added_is_read_once_and_half_a_line_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = read(path)
    assert log.curves == {}
    add_lines(path, record(0), record(1))
    whole = json.dumps(record(2)) + "\n"
    with path.open("a") as file:
        file.write(whole[:20])
    log.update()
    assert log.iterations == [0, 1]
    with path.open("a") as file:
        file.write(whole[20:])
    log.update()
    assert log.iterations == [0, 1, 2]
    assert log.curves["seconds"] == ([0, 1, 2], [0.5, 1.0, 1.5])
    assert log.bad_lines == 0


def test_a_log_that_a_resume_has_cut_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    add_lines(path, *(record(iteration) for iteration in range(9)))
    log = read(path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    add_lines(path, *(record(iteration, more=7.0) for iteration in range(4, 12)))  # Longer than before.
    log.update()
    assert log.iterations == list(range(12))
    assert log.curves["more"] == (list(range(4, 12)), [7.0] * 8)


def test_a_long_curve_is_thinned_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show_log, "MOST_KEPT", 40)
    path, values = tmp_path / "metrics.jsonl", [(7 * index) % 1009 for index in range(1000)]
    add_lines(path, *({"iteration": at, "seconds": float(at), "x": value} for at, value in enumerate(values)))
    log = read(path)
    iterations, kept = log.curves["x"]
    assert len(kept) < 40 and kept == [values[at] for at in iterations]
    assert (min(kept), max(kept), kept[-1]) == (min(values), max(values), values[-1])
    assert log.finished == 1000
    add_lines(path, {"iteration": 500, "seconds": 1.0, "x": -1})  # A resume.
    log.update()
    assert (log.finished, log.curves["x"][0][-1], log.curves["x"][1][-1]) == (501, 500, -1.0)


def test_of_iterations_that_are_logged_twice_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    add_lines(path, *(record(iteration) for iteration in range(6)), record(3, more=1.0), record(4))
    log = read(path)
    assert log.iterations == [0, 1, 2, 3, 4]
    assert log.curves["more"] == ([3], [1.0])


def test_lines_that_are_no_records_are_counted_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [
        b"\x00\xff\x00",
        b"[1]",
        b"{}",
        b'{"iteration": "x"}',
        b"[" * 9000,
        b'{"iteration": 0, "a": [1], "b": "x", "c": true, "d": 1' + b"0" * 400 + b"}",
    ]
    path.write_bytes(b"\n".join(lines) + b"\n" + json.dumps(record(1)).encode() + b"\n")
    log = read(path)
    assert log.bad_lines == 5
    assert log.iterations == [0, 1]
    assert not {"a", "b", "c", "d"} & log.curves.keys()


def test_nan_and_infinities_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    add_lines(path, record(0, a="NaN", b="-Infinity"), record(1, a=1))
    curves = read(path).curves
    assert math.isnan(curves["a"][1][0])
    assert curves["a"][1][1] == 1.0
    assert curves["b"] == ([0], [-math.inf])


def test_a_thinned_curve_keeps_its_extremes_its_last_point_and_what_is_no_number() -> None:
    values = [math.sin(at / 50) for at in range(10_000)]
    values[4_321], values[7_000], values[-1] = 9.0, math.nan, 0.5
    iterations, kept = thinned((list(range(10_000)), values), 400)
    assert len(kept) <= 410
    assert max(value for value in kept if value == value) == 9.0  # NaN
    assert iterations[kept.index(9.0)] == 4_321
    assert math.isnan(kept[iterations.index(7_000)])
    assert (iterations[-1], kept[-1]) == (9_999, 0.5)
    assert thinned(([1, 2], [3.0, 4.0]), 400) == ([1, 2], [3.0, 4.0])
