"""Callbacks of a step: their four moments, their gate, what they keep, and what the check says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from artschool.errors import ConfigError
from artschool.registry import callbacks
from artschool.registry.signature import Network
from tests.engine import toy_parts
from tests.engine.toy_run import fingerprint

CALLS: list[tuple[str, int, list[str]]] = []
"""Moment, iteration, and which of the parameters had a gradient."""


@pytest.fixture(autouse=True)
def watchers(registries: None) -> Iterator[None]:
    """Register the callbacks of this file, for the time of a test."""
    callbacks.register("test_watcher", Watcher)
    callbacks.register("test_counter", Counter)
    CALLS.clear()
    yield


class Watcher:
    """Writes down when it is called."""

    def __init__(self, networks: Mapping[str, nn.Module], *, start: int = 0) -> None:
        self._networks, self._start = networks, start

    def _note(self, moment: str, step: int) -> None:
        named = {f"{net}.{name}": p for net, m in self._networks.items() for name, p in m.named_parameters()}
        CALLS.append((moment, step, [name for name, p in named.items() if p.grad is not None]))

    def before_step(self, step: int) -> None:
        self._note("before_step", step)

    def before_optimize(self, step: int) -> None:
        self._note("before_optimize", step)

    def after_optimize(self, step: int) -> None:
        self._note("after_optimize", step)

    def log_data(self, step: int) -> Mapping[str, float | Tensor]:
        self._note("log_data", step)
        return {"step": self._start + step, "weight": next(iter(self._networks.values())).get_parameter("weight")}


class Counter(nn.Module):
    """Counts updates in a buffer, and has a network of the file besides those of its step."""

    def __init__(self, networks: Mapping[str, nn.Module], *, other: Network) -> None:
        super().__init__()
        self._other = [other]
        self.register_buffer("count", torch.zeros(()))

    def after_optimize(self, step: int) -> None:
        assert isinstance(self.count, Tensor) and self._other[0].training
        self.count += 1


def test_the_four_moments_come_in_order(tmp_path: Path) -> None:
    watch = "steps.main.callbacks={watch: {type: test_watcher, start: 10}}"
    run, recorder = toy_parts.load(tmp_path, watch, "train.iterations=2", "log.every=2")
    run.train()
    once = [("before_step", []), ("before_optimize", ["net.weight"]), ("after_optimize", [])]
    assert [(name, step, grads) for step in (0, 1) for name, grads in once] + [("log_data", 1, [])] == CALLS
    assert recorder.records[-1]["main/watch/step"] == 11
    assert recorder.records[-1]["main/watch/weight"] == -1.0  # Two updates by 0.5.


def test_a_gate_keeps_it_silent_and_a_step_that_does_not_train_has_no_update(tmp_path: Path) -> None:
    watch = "steps.main.callbacks={watch: {type: test_watcher, after: 1, every: 2}}"
    run, _ = toy_parts.load(tmp_path, watch, "steps.main.every=4", "train.iterations=5", "log.every=1")
    run.train()
    assert [(name, step) for name, step, _ in CALLS] == [
        ("before_step", 2),
        ("log_data", 2),
        ("before_step", 4),
        ("before_optimize", 4),
        ("after_optimize", 4),
        ("log_data", 4),
    ]


def test_what_it_keeps_is_in_the_checkpoint(tmp_path: Path) -> None:
    count = "steps.main.callbacks={count: {type: test_counter, other: net}}"
    run, _ = toy_parts.load(tmp_path, count)
    run.train()
    again, _ = toy_parts.load(tmp_path, count)
    assert again.modules["steps.main.callbacks.count"].state_dict() == {"count": torch.tensor(4.0)}
    assert fingerprint(again) == fingerprint(run)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("{type: test_watche}", "unknown callback 'test_watche'"),
        ("{type: test_watcher, starts: 1}", "test_watcher takes: after, before, every, start. Did you mean 'start'?"),
        ("{type: test_counter, other: nets}", "unknown network 'nets'"),
    ],
)
def test_the_check_knows_callbacks(tmp_path: Path, entry: str, says: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        toy_parts.load(tmp_path, f"steps.main.callbacks={{watch: {entry}}}")
    assert says in str(refusal.value)


def test_without_callbacks_nothing_is_called(tmp_path: Path) -> None:
    run, _ = toy_parts.load(tmp_path)
    step: Any = run.steps[0]
    assert step._before == step._backward == step._after == []
