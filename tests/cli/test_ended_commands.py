"""A signal ends a command that does not train yet as it ends a training, and nothing temporary stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from artschool.config.plugins import forget_files
from tests.reports.small import artschool, one_step

PARTS = """
import os
import signal
import time

import torch
from torch import nn
from torch.utils.data import Dataset

from artschool import datasets, networks


@datasets.register
class SignalledData(Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": torch.full((2,), float(index)), "target": torch.zeros(2)}


@networks.register("signalling")
class Signalling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if "SIGNALLED" in os.environ:
            os.kill(int(os.environ["SIGNALLED"]), signal.SIGTERM)
            time.sleep(0 if os.getpid() == int(os.environ["SIGNALLED"]) else 20)
        return self.layer(x)
"""
TEXT = one_step("signalled", plugin="parts.py", data="signalled_data", network="signalling", loss="l1, in: [y, target]")
COMMANDS = {
    "train": ["signalled.yml", "--run-dir", "other"],
    "check": ["signalled.yml", "--trace"],
    "graph": ["signalled.yml", "--trace", "-o", "drawn.html"],
    "profile": ["signalled.yml", "--iterations", "1", "--warmup", "0"],
    "resume-test": ["signalled.yml", "--iterations", "2"],
    "export": ["runs/signalled", "net", "-o", "exported"],
}


@pytest.fixture
def ignored() -> Iterator[None]:
    """A command that does not hear the signal must not end the tests."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("ignored")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_ends_a_command_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    forget_files()
    Path("parts.py").write_text(PARTS)
    Path("signalled.yml").write_text(TEXT)
    code, printed = artschool("train", "signalled.yml", "--no-trace")
    assert code == 0, printed
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    before = {path.name for path in tmp_path.iterdir()}
    monkeypatch.setenv("SIGNALLED", str(os.getpid()))
    code, printed = artschool(command, *COMMANDS[command])
    assert code == 143, printed
    assert {path.name for path in tmp_path.iterdir()} == before
    assert [*(tmp_path / "temporary").iterdir()] == []


AT_THE_END = """
import gc, os, sys, threading, time
from artschool.cli.main import main

def end(kill=os.kill, process=os.getpid()):
    kill(process, 15)

class Late:  # Collected when Python shuts down, since it refers to itself.
    def __init__(self):
        self.own = self

    def __del__(self, end=end):
        end()

def wait():
    time.sleep(0.2)
    end()
    time.sleep(20)

when = sys.argv.pop()
try:
    main()
finally:
    if when == "threads":
        threading.Thread(target=wait).start()
    else:
        gc.disable()
        Late()
"""


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["check", "none.yml"], 2)])
@pytest.mark.parametrize("when", ["threads", "finalization"])
def test_a_signal_while_python_shuts_down_leaves_an_exit_code(
    tmp_path: Path, when: str, arguments: list[str], code: int
) -> None:
    command = [sys.executable, "-c", AT_THE_END, *arguments, when]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == (code or (143 if when == "threads" else 0)), done.stderr
