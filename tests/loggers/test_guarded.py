"""A logger that breaks costs its log, and not one bit of the training."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import toy_run
from rich.console import Console
from torch import Tensor

from artschool.engine.checkpoint import fingerprint
from artschool.engine.run import Record, Run
from artschool.loggers.guarded import Guarded

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

    def start(self, run: Run) -> None:
        self._call("start")

    def advance(self, run: Run) -> None:
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
    return fingerprint(run.train())


@pytest.mark.parametrize("method", METHODS)
def test_a_logger_that_raises_is_off_after_one_warning(tmp_path: Path, undisturbed: str, method: str) -> None:
    run = toy_run.load(tmp_path, *SHORT)
    warnings: list[str] = []
    breaks, other = Breaks(method), toy_run.Recorder()
    run.loggers = [Guarded(breaks, warnings.append), other]
    assert fingerprint(run.train()) == undisturbed
    assert warnings == [f"Breaks failed in {method} and is off for the rest of this run: OSError: disk full"]
    assert breaks.calls.count(method) == 1
    assert breaks.calls[-1] == method
    assert [record["iteration"] for record in other.records] == [2, 5, 6]


def test_a_logger_that_works_gets_everything(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, *SHORT)
    works = Breaks("never")
    run.loggers = [Guarded(works, pytest.fail)]
    run.train()
    iteration, logged = ["advance"], ["advance", "picture", "log"]
    assert works.calls == ["start", *iteration * 2, *logged, *iteration * 2, *logged, "advance", "log", "close"]


def test_a_run_of_a_file_survives_a_folder_it_cannot_write_pictures_to(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, *SHORT)
    run.folder.mkdir()
    (run.folder / "pictures").write_text("a file where a folder should be")
    run.train()
    assert len((run.folder / "metrics.jsonl").read_text().splitlines()) == 3


def test_a_terminal_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            if "pixel" in text:
                raise BrokenPipeError
            return len(text)

    run = toy_run.load(tmp_path, console=Console(file=Gone(), width=100)).train()
    assert run.iteration == 20
