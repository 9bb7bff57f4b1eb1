"""A logger that breaks costs its log, and not one bit of the training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from torch import Tensor

from artschool.engine.logger import Record
from artschool.engine.run_state import RunState
from artschool.logs.fail_safe import FailSafeLogger
from artschool.storage.checkpoint_store import CheckpointStore
from tests.engine import toy_run

METHODS = ["start", "advance", "log", "picture", "close"]
PICTURES = "log={every: 3, pictures: {every: 3, keys: [sr]}}"
SHORT = (PICTURES, "train.iterations=7", "evaluate={}")


class Breaks(toy_run.Recorder):
    """Raises in one method, and counts all calls."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self._method = method
        self.calls: list[str] = []

    def _call(self, method: str) -> None:
        self.calls.append(method)
        if method == self._method:
            raise OSError("disk full")

    def start(self, run: RunState) -> None:
        self._call("start")

    def advance(self, run: RunState) -> None:
        self._call("advance")

    def log(self, record: Record) -> None:
        self._call("log")

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        self._call("picture")

    def close(self) -> None:
        self._call("close")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    run = toy_run.load(tmp_path_factory.mktemp("whole"), *SHORT)
    toy_run.recorded(run)
    return toy_run.fingerprint(run.train())


@pytest.mark.parametrize("method", METHODS)
def test_a_logger_that_raises_is_off_after_one_warning(tmp_path: Path, undisturbed: str, method: str) -> None:
    run = toy_run.load(tmp_path, *SHORT)
    warnings: list[str] = []
    breaks, other = Breaks(method), toy_run.Recorder()
    run.loggers = [FailSafeLogger(breaks, warnings.append), other]
    assert toy_run.fingerprint(run.train()) == undisturbed
    assert warnings == [
        f"warning: Breaks failed in {method!r} and is switched off until the run is resumed: OSError: disk full"
    ]
    assert breaks.calls.count(method) == 1
    assert breaks.calls[-1] == method
    assert [record["iteration"] for record in other.records] == [2, 5, 6]


def test_a_logger_that_works_gets_everything(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, *SHORT)
    works = Breaks("never")
    run.loggers = [FailSafeLogger(works, pytest.fail)]
    run.train()
    iteration, logged = ["advance"], ["advance", "picture", "log"]
    assert works.calls == ["start", *iteration * 2, *logged, *iteration * 2, *logged, "advance", "log", "close"]


def test_a_logger_gets_what_it_has_methods_for(tmp_path: Path) -> None:
    class OnlyLogs:
        def __init__(self) -> None:
            self.iterations: list[float] = []

        def log(self, record: Record) -> None:
            self.iterations.append(record["iteration"])

    run = toy_run.load(tmp_path, *SHORT)
    bare, wrapped = OnlyLogs(), OnlyLogs()
    run.loggers = [bare, FailSafeLogger(wrapped, pytest.fail)]
    run.note("a message")
    run.train()
    assert bare.iterations == wrapped.iterations == [2, 5, 6]


def test_a_run_of_a_file_survives_a_folder_it_cannot_write_pictures_to(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, *SHORT)
    run.folder.mkdir()
    (run.folder / "pictures").write_text("a file where a folder should be")
    run.train()
    assert len((run.folder / "metrics.jsonl").read_text().splitlines()) == 3


@pytest.mark.soak
def test_a_reader_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    """Over five seconds: the command starts, and imports torch."""
    command = [sys.executable, "-m", "artschool", "train", str(toy_run.write(tmp_path, "log.every=1"))]
    with subprocess.Popen(
        [*command, "--run-dir", str(tmp_path / "run")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
    assert CheckpointStore(tmp_path / "run" / "checkpoints").numbers()[-1] == 20


FORKS = """
import os, sys
from artschool.logs.fail_safe import FailSafeLogger

class Forks:
    def advance(self, run):
        if os.fork():
            os.wait()
    def log(self, record):
        self.advance(None)

logger = FailSafeLogger(Forks(), print)
getattr(logger, sys.argv[1])(None)
print("went on", flush=True)
"""


@pytest.mark.parametrize("method", ["advance", "log"])
def test_a_process_that_a_logger_forks_does_not_go_on(method: str) -> None:
    done = subprocess.run([sys.executable, "-c", FORKS, method], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "went on\n"), done.stderr
    assert "Forks has forked a copy of this process, which is ended." in done.stderr
