"""Sweeps with real trainings, which are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.engine import toy_run

LR = "steps.gen.optimizer.lr"
LONG = ("train.iterations=20000", "checkpoint.every=10", "evaluate.held_out.every=10", "log.every=10")


def command(folder: Path, *arguments: str, trials: int = 2) -> subprocess.Popen[str]:
    """Start a sweep of the toy in a session of its own."""
    options = ("--metric", "held_out/psnr:max", "--trials", str(trials), "--seed", "1", "--no-trace", "--json")
    ranges = (f"{LR}=log(1e-4, 1e-2)", *arguments)
    return subprocess.Popen(
        [sys.executable, "-m", "artschool", "sweep", "toy.yml", *ranges, *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(path: Path) -> None:
    """Wait until a training has logged for a while."""
    deadline = time.monotonic() + 120
    while not path.exists() or len(path.read_bytes().splitlines()) < 3:
        assert time.monotonic() < deadline, f"{path} is not written"
        time.sleep(0.05)


def run_file(folder: Path) -> list[str]:
    """The overrides with which a trial was trained."""
    overrides: list[str] = json.loads((folder / "run.json").read_text())["overrides"]
    return overrides


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_sweep_goes_on_from_checkpoints_with_the_same_values(tmp_path: Path, number: int) -> None:
    """Soak: five processes import torch."""
    toy_run.write(tmp_path, *LONG)
    first = tmp_path / "sweeps" / "toy" / "0000"
    sweep = command(tmp_path, "checkpoint.keep_last=2")
    wait_for(first / "metrics.jsonl")
    before = run_file(first)
    os.kill(sweep.pid, number)
    _, errors = sweep.communicate(timeout=120)
    assert sweep.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[signal.Signals(number)]
    # The training has got a signal, too, and saves.
    output = tmp_path / "sweeps" / "toy" / "output" / "0000" / "train.txt"
    deadline = time.monotonic() + 60
    while "a checkpoint is saved" not in output.read_text():
        assert time.monotonic() < deadline, errors
        time.sleep(0.05)
    toy_run.write(tmp_path, *LONG, "train.iterations=400")
    again = command(tmp_path, "checkpoint.keep_last=2")
    printed, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    result: dict[str, Any] = json.loads(printed)
    assert [trial["state"] for trial in result["trials"]] == ["finished", "finished"]
    assert "trial 0: goes on: " in errors
    assert run_file(first) == before
    assert "resuming after iteration" in output.read_text()


@pytest.mark.soak
def test_two_processes_share_a_sweep_and_a_crash_of_a_training_ends_it_alone(tmp_path: Path) -> None:
    """Soak: six processes import torch."""
    toy_run.write(tmp_path, "train.iterations=20")
    bad = ("data.train.fail_at=choice(null, 3)", "checkpoint.every=null")
    sweeps = [command(tmp_path, *bad, trials=4) for _ in range(2)]
    results = [json.loads(sweep.communicate(timeout=400)[0]) for sweep in sweeps]
    assert all(sweep.returncode == 0 for sweep in sweeps)
    trials = results[0]["trials"]
    assert len(trials) >= 4 and len({trial["trial"] for trial in trials}) == len(trials)
    for result in results:
        for trial in result["trials"]:
            if trial["state"] != "running":
                fails = trial["parameters"]["data.train.fail_at"] == "3"
                assert trial["state"] == ("failed" if fails else "finished")
                assert not fails or trial["reason"].startswith("exit code 3: ")
