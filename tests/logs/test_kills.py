"""Logs after kills and on a disk without room: each iteration once, nothing lost."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from artschool.engine.logger import Record
from artschool.engine.run_state import RunState
from artschool.logs.pictures import PictureLogger
from tests.engine import toy_run
from tests.fresh import exit_code, start
from tests.logs.test_tensorboard import events, scalars

OPTIONS = (
    "log={every: 1, pictures: {every: 2, keys: [sr]}}",
    "checkpoint={every: 4, keep_last: 2}",
    "evaluate.held_out.every=5",
)


class KilledIn(toy_run.Recorder):
    """Kills the process when a logger is called for the nth time: after an iteration, between two logs of it ..."""

    def __init__(self, call: int) -> None:
        super().__init__()
        self._left = call

    def _count(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)

    def advance(self, run: RunState) -> None:
        self._count()

    def log(self, record: Record) -> None:
        self._count()


def killed_run(folder: Path, position: int, call: int) -> None:
    run = toy_run.load(folder, *OPTIONS)
    run.loggers = [*run.loggers[:position], KilledIn(call), *run.loggers[position:]]
    run.train()


def whole_run(folder: Path) -> None:
    toy_run.load(folder, *OPTIONS).train()


def jsonl(folder: Path) -> list[dict[str, float]]:
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name != "seconds"} for record in records]


def check_logs(run: Path, whole: Path) -> None:
    assert jsonl(run) == jsonl(whole)
    assert [record["iteration"] for record in jsonl(run)] == list(range(20))
    for tag in ("gen/pixel", "held_out/psnr", "critic/gan"):
        assert scalars(run, tag) == scalars(whole, tag)
    assert [step for step, _ in scalars(run, "gen/pixel")] == list(range(20))
    assert not list(run.rglob(".*"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_run.load(tmp_path_factory.mktemp("whole"), *OPTIONS).train().folder


def test_after_five_kills_each_iteration_is_in_the_logs_once(tmp_path: Path, whole: Path) -> None:
    draw = random.Random(5)
    for _ in range(5):
        killed = partial(killed_run, tmp_path, draw.randrange(1, 5), draw.randrange(4, 9))
        assert exit_code(killed) == -signal.SIGKILL
    toy_run.load(tmp_path, *OPTIONS).train()
    check_logs(tmp_path / "run", whole)


@pytest.mark.soak
def test_after_kills_at_random_times_each_iteration_is_in_the_logs_once(tmp_path: Path, whole: Path) -> None:
    """A minute: 20 runs with five kills each."""
    draw = random.Random()
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        for _ in range(5):
            process = start(partial(whole_run, folder))
            time.sleep(draw.uniform(0.1, 0.6))
            process.kill()
            process.join()
        toy_run.load(folder, *OPTIONS).train()
        check_logs(folder / "run", whole)


def test_half_an_event_is_cut_off(tmp_path: Path, whole: Path) -> None:
    toy_run.load(tmp_path, *OPTIONS, "train.iterations=5").train()
    (file,) = (tmp_path / "run").glob("events.*")
    data = file.read_bytes()
    file.write_bytes(data + data[-40:][:30] + b"\0" * 9)
    toy_run.load(tmp_path, *OPTIONS).train()
    assert [step for step, _ in scalars(tmp_path / "run", "gen/pixel")] == list(range(20))


def test_event_files_are_in_the_order_of_the_starts_even_if_the_clock_goes_back(tmp_path: Path) -> None:
    toy_run.load(tmp_path, *OPTIONS, "train.iterations=2").train()
    (first,) = (tmp_path / "run").glob("events.*")
    written, ahead = first.name.split(".")[3], str(int(time.time()) + 1000)
    first.rename(first.with_name(first.name.replace(written, ahead)))
    for iterations in (4, 6, 12):
        toy_run.load(tmp_path, *OPTIONS, f"train.iterations={iterations}").train()
    starts = [event.step for event in events(tmp_path / "run") if event.HasField("session_log")]
    assert starts == [2, 4, 6]


def test_what_a_killed_process_has_left_of_an_image_is_removed(tmp_path: Path) -> None:
    toy_run.load(tmp_path, *OPTIONS, "train.iterations=2").train()
    leftover = tmp_path / "run" / "pictures" / "sr" / ".tmp-00000002.png-01234567"
    leftover.touch()
    toy_run.load(tmp_path, *OPTIONS, "train.iterations=4").train()
    assert [path.name for path in sorted(leftover.parent.iterdir())] == ["00000002.png", "00000004.png"]


@contextmanager
def no_room(size: int) -> Iterator[None]:
    """Files of this process cannot grow beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_image_that_the_disk_does_not_take_is_left_out_and_the_next_one_is_tried(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, *OPTIONS, "train.iterations=3")
    recorder, logger = toy_run.recorded(run), PictureLogger()
    logger.start(run)
    values = run.data.loader.first(2)["hq"]
    with no_room(0):
        logger.picture("sr", 1, values)
        logger.picture("sr", 2, values)
    logger.picture("sr", 3, values)
    assert [path.name for path in (run.folder / "pictures" / "sr").iterdir()] == ["00000003.png"]
    assert len(recorder.notes) == 1 and recorder.notes[0].startswith("warning: an image is left out: ")
