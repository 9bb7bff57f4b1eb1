"""Logs that had no room go on when there is some again, and have lost nothing."""

from __future__ import annotations

import json
import os
import resource
import shutil
from functools import partial
from pathlib import Path

import pytest

from artschool.logs.fail_safe import FailSafeLogger
from artschool.logs.jsonl import JsonlLogger
from artschool.logs.tensorboard import TensorBoardLogger
from artschool.storage.appended_file import AppendedFile
from tests.engine import toy_parts
from tests.engine.toy_run import Recorder
from tests.fresh import exit_code
from tests.logs.test_tensorboard import scalars


def test_a_log_that_is_deleted_or_replaced_goes_on_under_its_name(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = AppendedFile(path)
    log.append(b"1\n")
    path.unlink()
    log.append(b"2\n")
    assert path.read_bytes() == b"2\n"
    (tmp_path / "shorter").write_bytes(b"0\n")
    (tmp_path / "shorter").replace(path)
    log.append(b"3\n")
    path.rename(tmp_path / "moved")  # As with its folder.
    log.append(b"4\n")
    log.close()
    assert (tmp_path / "moved").read_bytes() == b"0\n3\n4\n"


def test_a_log_whose_folder_is_deleted_raises_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    log = AppendedFile(folder / "log")
    shutil.rmtree(folder)
    log.append(b"1\n")
    log.close()
    assert not folder.exists()


@pytest.mark.parametrize("logger", [JsonlLogger, TensorBoardLogger])
def test_a_log_without_room_goes_on_when_there_is_some(
    tmp_path: Path, logger: type[JsonlLogger] | type[TensorBoardLogger]
) -> None:
    """A real limit for the size of files, between two iterations: the child writes a part of a record, then nothing."""
    assert exit_code(partial(_train, tmp_path, logger())) == 0
    if logger is JsonlLogger:
        lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["iteration"] for line in lines] == list(range(8))
    else:
        assert [step for step, _ in scalars(tmp_path / "run", "main/mean")] == list(range(8))
    warnings = (tmp_path / "warnings").read_text().splitlines()
    name = logger.__name__
    assert len(warnings) == 2
    assert warnings[0].startswith(f"warning: {name} cannot write, and tries again at its next call: ")
    assert "File too large" in warnings[0]
    assert warnings[1] == f"{name} writes again"


def _train(folder: Path, logger: JsonlLogger | TensorBoardLogger) -> None:
    run, _ = toy_parts.load(folder, "train.iterations=8", "checkpoint={every: 100}")

    class Limits(Recorder):
        def start(self, run: object) -> None:
            pass

        def advance(self, run: object) -> None:
            self.updates.append({})
            path = next(path for path in (folder / "run").iterdir() if "metrics" in path.name or "events" in path.name)
            limit = {3: path.stat().st_size + 20, 6: resource.RLIM_INFINITY}.get(len(self.updates))
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def warn(message: str) -> None:
        old, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        with (folder / "warnings").open("a") as file:
            file.write(f"{message}\n")
        resource.setrlimit(resource.RLIMIT_FSIZE, (old, resource.RLIM_INFINITY))

    run.loggers = [Limits(), FailSafeLogger(logger, warn)]
    run.train()


def test_what_waits_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from artschool.errors import ResourceError
    from artschool.storage import appended_file

    monkeypatch.setattr(appended_file, "MOST_WAITING", 12)
    file = AppendedFile(tmp_path / "log")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for record in (b"first\n", b"second\n", b"3\n"):
            with pytest.raises(ResourceError, match="log: cannot write: No space left on device"):
                file.append(record)
    file.append(b"4\n")
    file.close()
    assert (tmp_path / "log").read_bytes() == b"second\n3\n4\n"
