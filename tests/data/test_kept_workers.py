"""Workers of evaluations wait for the next one, and end with the run, whatever ends it."""

from __future__ import annotations

import copy
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from artschool.data.loader import Loader
from artschool.data.sampler import Position
from artschool.data.seeds import Seeds
from artschool.engine.logger import Record
from artschool.engine.run_state import RunState
from tests.engine import toy_run

CPU = torch.device("cpu")


class Pids:
    """Each sample has its index and the process that read it."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"index": index, "pid": os.getpid()}


def loaded(loader: Loader, indices: list[int], *, keep: bool = True) -> tuple[list[int], set[int]]:
    """The samples of batches of one, and the processes that read them."""
    batches = list(loader.load([[Position(0, index)] for index in indices], CPU, keep_workers=keep))
    return [int(batch["index"]) for batch in batches], {int(batch["pid"]) for batch in batches}


def children() -> set[int]:
    return {process.pid for process in multiprocessing.active_children() if process.pid is not None}


def test_workers_do_not_depend_on_the_default_of_python() -> None:
    """`forkserver` is that of Python 3.14, and `spawn` that of a process that was spawned, as by `resume-test`."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        indices, pids = loaded(Loader(Pids(), "data.train", 7, workers=1), [0, 3], keep=False)
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert indices == [0, 3]
    assert os.getpid() not in pids


def test_seeds_can_be_sent_to_workers() -> None:
    seeds = Seeds(3, "evaluate", "held")
    assert copy.deepcopy(seeds)(5, 7) == seeds(5, 7)


def test_the_same_processes_load_again_until_they_are_ended() -> None:
    loader = Loader(Pids(), "data.val", 7, workers=2)
    assert children() == set()
    first, pids = loaded(loader, [3, 1, 2, 0, 5])
    again, same = loaded(loader, [7, 6])
    assert (first, again) == ([3, 1, 2, 0, 5], [7, 6])
    assert same == pids == children()
    loader.end_workers()
    assert children() == set()
    assert loaded(loader, [4])[0] == [4]
    loader.end_workers()


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_workers_inherit_their_data_whatever_python_does_by_default(method: str) -> None:
    # Since 3.14, Python pickles what it sends to a new process on Linux, as it does on macOS.
    class Local(Pids):
        pass

    default = multiprocessing.get_start_method()
    multiprocessing.set_start_method(method, force=True)
    try:
        loader = Loader(Local(), "data.val", 7, workers=1)
        assert loaded(loader, [3, 1])[0] == [3, 1]
        loader.end_workers()
    finally:
        multiprocessing.set_start_method(default, force=True)


def test_training_on_the_same_data_has_workers_of_its_own() -> None:
    loader = Loader(Pids(), "data.train", 7, workers=1)
    training = loader.load([[Position(0, index)] for index in (0, 1, 2)], CPU)
    first = next(training)
    values, pids = loaded(loader, [5, 6])
    assert values == [5, 6]
    assert pids.isdisjoint({int(first["pid"])})
    assert [int(batch["index"]) for batch in training] == [1, 2]
    assert children() == pids
    loader.end_workers()


def test_a_load_that_is_given_up_ends_its_processes() -> None:
    loader = Loader(Pids(), "data.val", 7, workers=1)
    batches = loader.load([[Position(0, index)] for index in range(8)], CPU, keep_workers=True)
    next(batches)
    batches.close()
    assert children() == set()
    assert loaded(loader, [2, 1])[0] == [2, 1]
    loader.end_workers()


class Workplace(toy_run.Recorder):
    """Notes the processes that are alive at each log point, and ends the training by an error."""

    def __init__(self, fail_at: int | None) -> None:
        super().__init__()
        self.alive: list[set[int]] = []
        self._fail_at = fail_at

    def advance(self, run: RunState) -> None:
        if run.iteration == self._fail_at:
            raise ArithmeticError("enough")

    def log(self, record: Record) -> None:
        super().log(record)
        self.alive.append(children())

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        raise AssertionError


@pytest.mark.parametrize("fail_at", [None, 5])
def test_no_process_outlives_the_run(tmp_path: Path, fail_at: int | None) -> None:
    run = toy_run.load(
        tmp_path, "data.val.workers=1", "evaluate.held_out.every=2", "train.iterations=6", "log.every=2", traced=True
    )
    workplace = Workplace(fail_at)
    run.loggers = [workplace]
    if fail_at is None:
        run.train()
    else:
        with pytest.raises(ArithmeticError):
            run.train()
    assert len({frozenset(alive) for alive in workplace.alive}) == 1
    assert [len(alive) for alive in workplace.alive] == [1] * (3 if fail_at is None else 2)
    assert children() == set()
    assert run.evaluate().keys() == {"held_out/psnr"}
    assert children() == set()
