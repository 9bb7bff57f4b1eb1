"""What never comes is reported by name, and ends the run at a limit: saved if that is possible, with stacks."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from artschool.cli.main import cli
from artschool.engine import heartbeats, watchdog
from artschool.errors import ArtschoolError, ConfigError, ResourceError
from artschool.storage.checkpoint_store import CheckpointStore
from tests.engine import toy_run
from tests.engine.hanging_parts import PLUGINS

pytestmark = pytest.mark.usefixtures("registries")
FORK = multiprocessing.get_context("fork")
PAIRS = "data.train={{type: hanging_pairs, length: 40, batch_size: 8, shuffle: false, at: {at}, rank: {rank}}}"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "REPORT_AFTER_S", 1)
    monkeypatch.setattr(watchdog, "GRACE_S", 2)
    monkeypatch.setattr(heartbeats, "RECORD_EVERY", 2)
    monkeypatch.setattr(heartbeats, "SILENT_S", 2)


def hanging(at: int | None, *overrides: str, rank: int = 0) -> tuple[str, ...]:
    data = PAIRS.format(at="null" if at is None else at, rank=rank)
    return PLUGINS, data, "train.hang_timeout=2", "checkpoint.every=20", *overrides


@pytest.mark.parametrize(
    ("workers", "what"),
    [
        (0, r"sample 18 of \S+toy\.yml:6:5: data\.train"),
        (2, r"a batch of .* from worker 0 \(samples 16, 17, 18, [^)]*\)"),
    ],
)
def test_a_sample_that_never_comes_is_reported_then_the_run_is_saved(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], workers: int, what: str
) -> None:
    run = toy_run.load(tmp_path, *hanging(18, f"data.train.workers={workers}"))
    recorder = toy_run.recorded(run)
    fix = r"Fix: see the stacks above, or raise `train\.hang_timeout`\nAn incident is recorded.*\nA checkpoint is saved"
    with pytest.raises(
        ResourceError, match=rf"^training has waited 2 seconds for {what} \(iteration 2\)\. {fix}"
    ) as error:
        run.train()
    assert error.value.exit_code == 5
    assert re.match(rf"^warning: training has waited 1 seconds for {what} \(iteration 2\)$", recorder.notes[0])
    assert CheckpointStore(tmp_path / "run" / "checkpoints").numbers() == [2]
    assert [path.name for path in (tmp_path / "run" / "incidents").iterdir()] == ["00000002-hang"]
    stacks = capfd.readouterr().err
    assert "hanging_parts.py" in stacks and "watchdog.py" in stacks
    assert multiprocessing.active_children() == []


@pytest.mark.soak
def test_what_no_exception_ends_is_ended_by_the_watchdog(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Five seconds of waiting."""

    def train() -> None:
        toy_run.load(tmp_path, *hanging(18, "data.train.stubborn=true")).train()

    process = FORK.Process(target=train)
    process.start()
    process.join(60)
    assert process.exitcode == 5
    assert "training has waited 2 seconds for sample 18 of" in capfd.readouterr().err


@pytest.mark.soak
@pytest.mark.parametrize("is_stubborn", [False, True])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_hang_ends_a_run_whose_output_nobody_reads(tmp_path: Path, name: str, is_stubborn: bool) -> None:
    """A third of a minute: the command imports torch, then hangs. The pipe is full when the stacks are written."""
    options = hanging(18, f"data.train.stubborn={is_stubborn}".lower(), "log.every=1", "train.hang_timeout=3")
    toy_run.write(tmp_path, *options)
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "tests.engine.full_output", name, "--run-dir", "run", "--no-trace", "toy.yml"]
    outputs: dict[str, int] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, name: writer}
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "src")))}
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=outputs["stdout"], stderr=outputs["stderr"])
    os.close(writer)
    try:
        assert process.wait(60) == 5
    finally:
        process.kill()
        process.wait()
        os.close(reader)
    assert CheckpointStore(tmp_path / "run" / "checkpoints").numbers() == ([] if is_stubborn else [2])


@pytest.mark.soak
def test_an_iteration_may_take_longer_and_many_short_waits_are_no_long_one(tmp_path: Path) -> None:
    """Over five seconds: an iteration of two and a half, then as many of short waits."""
    options = ("data.train.seconds=0.06", "train.iterations=5", "train.hang_timeout=1")
    run = toy_run.load(tmp_path, *hanging(None, *options))
    recorder = toy_run.recorded(run)
    run.update_hooks.append(lambda iteration, folder: time.sleep(2.5 if iteration == 0 else 0))
    run.train()
    assert run.is_finished and recorder.notes == []


def test_a_data_set_that_leaves_is_an_error_with_its_line(tmp_path: Path) -> None:
    text = r"data\.train: hanging_pairs raised SystemExit: 3\n    at .*hanging_parts\.py:\d+: sys\.exit\(3\)$"
    with pytest.raises(ConfigError, match=text):
        toy_run.load(tmp_path, *hanging(None, "data.train.leaves=true"))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start_ranks(folder: Path, *overrides: str) -> list[multiprocessing.process.BaseProcess]:
    """Two ranks that train, each with its messages in `folder`/rank<rank>.txt."""
    file, port = toy_run.write(folder, *overrides), free_port()

    def train(rank: int) -> None:
        os.environ |= {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        output = os.open(folder / f"rank{rank}.txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = sys.stderr = os.fdopen(output, "w", buffering=1)
        code = 1
        try:
            cli(["train", str(file), "--run-dir", str(folder / "run"), "--no-trace"], standalone_mode=False)
            code = 0
        except ArtschoolError as error:
            os.write(2, str(error).encode())
            code = error.exit_code
        finally:
            os._exit(code)

    processes: list[multiprocessing.process.BaseProcess] = [FORK.Process(target=train, args=(rank,)) for rank in (0, 1)]
    for process in processes:
        process.start()
    return processes


def wait_until(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.soak
@pytest.mark.parametrize("stopped", [0, 1])
def test_a_rank_that_is_stopped_is_named_by_the_other(tmp_path: Path, stopped: int) -> None:
    """Over five seconds: two processes, one of which waits for the other for five seconds."""
    file = (*hanging(None, "train.iterations=100000", "log.every=1", "train.hang_timeout=5"),)
    processes = start_ranks(tmp_path, *file)
    try:
        wait_until((tmp_path / "run" / "metrics.jsonl").exists)
        time.sleep(2)  # Both have written what they do.
        os.kill(processes[stopped].pid or 0, signal.SIGSTOP)
        processes[1 - stopped].join(60)
        text = (tmp_path / f"rank{1 - stopped}.txt").read_text()
        assert processes[1 - stopped].exitcode == 5, text
        waited = rf"rank {1 - stopped} has waited \d seconds for the other processes \(iteration \d+\)"
        silent = (
            "; rank 1 does not respond" if stopped else "; rank 0, or what has started the processes, does not respond"
        )
        assert re.search(rf"warning: {waited}{silent}$", text, re.MULTILINE), text
        assert re.search(rf"^{waited}{silent}\. Fix: ", text, re.MULTILINE), text
    finally:
        for process in processes:
            process.kill()
            process.join()


@pytest.mark.soak
def test_a_sample_that_never_comes_to_another_rank_is_named(tmp_path: Path) -> None:
    """Over five seconds: two processes, one of which waits for five seconds."""
    processes = start_ranks(tmp_path, *hanging(36, "train.hang_timeout=5", rank=1))
    try:
        for process in processes:
            process.join(60)
        texts = [(tmp_path / f"rank{rank}.txt").read_text() for rank in (0, 1)]
        waiting = r"has waited \d seconds for"
        seen = rf"^warning: rank 0 {waiting} the other processes \(iteration 4\); rank 1 {waiting} "
        assert re.search(rf"{seen}sample 36 of .*: data\.train \(iteration 4\)$", texts[0], re.MULTILINE), texts[0]
        assert "rank 1 has waited 5 seconds for sample 36 of" in texts[1]
        assert processes[1].exitcode == 5, texts[1]
    finally:
        for process in processes:
            process.kill()
            process.join()
