"""What is due after an iteration happens in one order, and only then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from artschool.engine import checkpoint
from artschool.engine.due import AFTER_ITERATION
from artschool.engine.evaluate import Evaluation
from artschool.engine.logger import Record
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.outcome import Outcome
from artschool.engine.run_state import RunState
from artschool.engine.streams import Part
from tests.engine import toy_run


class Order(toy_run.Recorder):
    """Keeps the names of the calls, with the number of finished iterations."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, str]] = []
        self._finished = 0

    def call(self, name: str) -> None:
        self.calls.append((self._finished, name))

    def before(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose calls are kept as well."""

        def wrapped(*given: Any) -> Any:
            self.call(name)
            return function(*given)

        return wrapped

    def start(self, run: RunState) -> None:
        pass

    def advance(self, run: RunState) -> None:
        self._finished = run.iteration
        self.call("advance")

    def log(self, record: Record) -> None:
        self.call("log")

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        self.call("picture")


def test_all_that_is_due_happens_in_the_order_of_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = ("train.iterations=4", "log={every: 2, pictures: {every: 2, keys: [sr]}}")
    run = toy_run.load(tmp_path, *changes, "evaluate.held_out.every=2", "checkpoint={every: 2, keep_last: 1}")
    order = Order()
    run.loggers = [order]
    monkeypatch.setattr(Evaluation, "run", order.before("evaluate", Evaluation.run))
    monkeypatch.setattr(checkpoint, "save", order.before("save", checkpoint.save))
    run.train()
    everything = ["advance", "save", "picture", "evaluate", "log"]
    assert order.calls == [
        (finished, name) for finished in (1, 2, 3, 4) for name in (everything if finished % 2 == 0 else ["advance"])
    ]


def test_images_are_due_at_a_remainder_of_finished_iterations(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, "log={every: 3, pictures: {every: {of: 3, at: 1}, keys: [sr]}}", "train.iterations=5")
    order = Order()
    run.loggers = [order]
    run.train()
    assert [finished for finished, name in order.calls if name == "picture"] == [1, 4]


def test_between_two_of_its_iterations_nothing_but_the_loggers_advance_is_due(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, "log={every: 3, pictures: {every: 3, keys: [sr]}}", "checkpoint.keep_best=")
    run.iteration = 7
    outcome = Outcome(MicroBatches({"train": Part({}, 1)}, 1, run.device))
    due = [action.__name__ for is_due, action in AFTER_ITERATION if is_due(run, outcome)]
    assert due == ["_advance_loggers"]
