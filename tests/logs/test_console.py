"""What a person reads: the plan, the numbers, the end; drawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from artschool.logs.console import ConsoleLogger, format_number, format_seconds, print_end
from tests.engine import toy_run


def said(folder: Path, *, terminal: bool) -> str:
    """Everything that a run of four iterations writes, terminal codes included."""
    file = io.StringIO()
    console = Console(file=file, width=160, force_terminal=terminal, color_system=None)
    run = toy_run.load(folder, "train.iterations=4", "log.every=2", "steps.critic.after=0")
    run.loggers = [ConsoleLogger(console)]
    run.train()
    print_end(console, str(run.folder), {"held_out/psnr": 12.5}, best=(12.5, 2))
    return file.getvalue()


def test_without_a_terminal_it_writes_plain_lines(tmp_path: Path) -> None:
    text = said(tmp_path, terminal=False)
    assert "\x1b" not in text
    lines = text.splitlines()
    for iteration in (2, 4):
        (line,) = [line for line in lines if f"{iteration}/4" in line]
        assert "pixel" in line
        assert "psnr" in "".join(lines) or iteration == 2


@pytest.mark.parametrize("terminal", [True, False])
def test_the_plan_and_the_end_say_names_sizes_and_folders(tmp_path: Path, terminal: bool) -> None:
    text = said(tmp_path, terminal=terminal)
    for name in ("gen", "critic", "held_out", "40", "1,116", "313", "0.9", "fp32", "cpu", str(tmp_path / "run")):
        assert name in text
    assert "1,116 parameters, trained, averaged" in text
    end = text[text.rindex("held_out/psnr 12.5") :]
    assert end.startswith("held_out/psnr 12.5\nbest 12.5 after 2 iterations: checkpoints/00000002\n")
    assert end.splitlines()[2] == f"done: checkpoints are in {tmp_path / 'run'}"


def test_the_end_names_what_was_written(tmp_path: Path) -> None:
    for file in (
        "checkpoints/00000002/state.json",
        "metrics.jsonl",
        "pictures/sr/00000002.png",
        "events.out.tfevents.1",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    out = io.StringIO()
    console = Console(file=out, width=60, color_system=None)
    print_end(console, str(tmp_path), {}, None)
    (tmp_path / "pictures/sr/00000002.png").unlink()
    print_end(console, str(tmp_path), {}, None)
    print_end(console, str(tmp_path / "nothing"), {}, None)
    assert out.getvalue().splitlines() == [
        f"done: checkpoints, metrics.jsonl, pictures and TensorBoard events are in {tmp_path}",
        f"done: checkpoints, metrics.jsonl and TensorBoard events are in {tmp_path}",
        f"done: {tmp_path / 'nothing'}",
    ]


def test_on_a_terminal_it_draws_and_cleans_up_after_itself(tmp_path: Path) -> None:
    text = said(tmp_path, terminal=True)
    assert "\x1b[?25l" in text  # The cursor is hidden while it draws,
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # and shown again.
    assert "4/4" in text
    assert "pixel" in text


def test_a_resume_that_only_evaluates_says_that_training_is_finished(tmp_path: Path) -> None:
    file = io.StringIO()
    run = toy_run.load(tmp_path, "train.iterations=4")
    run.iteration = 4
    logger = ConsoleLogger(Console(file=file, width=160, color_system=None))
    logger.start(run)
    logger.log({"iteration": 3, "samples": 32, "seconds": 1.0, "held_out/psnr": 12.5})
    assert file.getvalue().splitlines()[-1] == "4/4  all iterations finished  held_out: psnr 12.5"


def test_the_pace_is_that_after_the_first_iteration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which waits for workers and compilers: here, 100 seconds."""
    now = [1000.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    file = io.StringIO()
    run = toy_run.load(tmp_path, "train.iterations=9")
    logger = ConsoleLogger(Console(file=file, width=160, color_system=None))
    logger.start(run)
    for iteration, seconds in ((1, 100), (2, 2), (3, 4)):
        now[0] += seconds
        run.iteration = iteration
        logger.advance(run)
        logger.log({"iteration": iteration - 1, "samples": 1, "seconds": 1.0})
    paces = ["one iteration finished", "2.0 s/iteration, 14 s left", "3.0 s/iteration, 18 s left"]
    assert [line.split("  ")[1] for line in file.getvalue().splitlines()[-3:]] == paces


def test_a_display_ends_when_training_fails(tmp_path: Path) -> None:
    file = io.StringIO()
    run = toy_run.load(tmp_path, "data.train.fail_at=3")
    run.loggers = [ConsoleLogger(Console(file=file, force_terminal=True, width=100))]
    with pytest.raises(Exception, match="cannot decode"):
        run.train()
    assert "\x1b[?25h" in file.getvalue()


def test_a_note_is_printed_as_it_is(tmp_path: Path) -> None:
    file = io.StringIO()
    ConsoleLogger(Console(file=file, width=20)).note("[bold]a note[/bold] that is longer than the console is wide")
    assert file.getvalue() == "[bold]a note[/bold] that is longer than the console is wide\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (3.0, "3"),
        (0.123456, "0.1235"),
        (1234.5, "1234"),
        (2e-5, "2e-05"),
        (5e7, "5e+07"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_have_four_digits(value: float, text: str) -> None:
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (247, "4:07"), (3599.7, "1:00:00"), (47047, "13:04:07")],
)
def test_times_are_rounded_before_they_are_split(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_an_evaluation_shows_its_progress_on_a_terminal_alone() -> None:
    for terminal in (True, False):
        file = io.StringIO()
        logger = ConsoleLogger(Console(file=file, width=160, force_terminal=terminal, color_system=None))
        logger.evaluating("held_out", 3, 8)
        assert file.getvalue() == ""
        console = Console(file=file, width=160, color_system=None)
        console.print(logger._render())
        assert "3/8" in file.getvalue() and "evaluate held_out" in file.getvalue()
        logger.evaluating("held_out", 8, 8)
        file.truncate(0)
        console.print(logger._render())
        assert "held_out" not in file.getvalue()


@pytest.mark.parametrize(("width", "bar"), [(160, 40), (80, 35), (60, 15), (30, 4)])
def test_a_narrow_terminal_has_a_shorter_bar(width: int, bar: int) -> None:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None)
    logger = ConsoleLogger(console)
    logger._finished, logger._total, logger._started = 100_000, 200_000, time.perf_counter() - 1000
    console.print(logger._render())
    line = file.getvalue().split("\n")[0]
    assert len(line.rstrip()) <= width
    if width > 30:  # Narrower ones cut off the text.
        assert line.rstrip().endswith(" iterations/s, 16:40 left")
        assert line.index(line.split()[-4]) == len("100000/200000") + 1 + bar + 1
