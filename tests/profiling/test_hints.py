"""Each rule on made-up numbers: when it speaks, and which override it names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from artschool.config.compose import apply_overrides
from artschool.config.source import read_text
from artschool.profiling.hints import hints
from artschool.profiling.parts import BACKWARD, EXCHANGE, LOG, OPTIMIZER, WAIT, Part
from artschool.profiling.report import Machine, Profile
from artschool.read.read import check_file
from tests.engine import toy_run

pytestmark = pytest.mark.usefixtures("registries")
CPU = Machine("cpu", "cpu", num_cpus=8)
CARD = Machine("cuda", "a card", num_cpus=8, memory=80 * 10**9, has_tf32=True, uses_tf32=True, has_bf16=True)
FULL = {"train.precision": "bf16", "train.cudnn_benchmark": "true"}
"""Options with which nothing is left to say about a card."""


def part(*path: str, root: Part, seconds: float, operations: int = 0) -> None:
    for name in path:
        root = root.part(name)
    root.own_seconds += seconds
    root.own_operations += operations


def measured(tmp_path: Path, *overrides: str, machine: Machine = CPU, **options: Any) -> Profile:
    """A profile of one iteration of a second that is spent outside of all parts."""
    config = check_file(toy_run.write(tmp_path, *overrides))
    found = Profile(config, machine, **options)
    found.root.own_seconds = 1.0
    found.root.peak = 70 * 10**9
    return found


def changes(found: Profile) -> list[str]:
    result = hints(found)
    for hint in result:  # An override has to be one that the file accepts.
        apply_overrides(read_text(Path(hint.place.source).read_text(), hint.place.source), [hint.change])
        assert hint.place.line
    return [hint.change for hint in result]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_is_said_about_a_run_that_only_computes() -> None:
    assert changes(measured(Path())) == []


@pytest.mark.parametrize(("workers", "seconds", "expected"), [(0, 0.2, 2), (3, 0.2, 6), (6, 0.2, 8), (0, 0.1, None)])
def test_waiting_for_data(workers: int, seconds: float, expected: int | None) -> None:
    found = measured(Path(), f"data.train.workers={workers}")
    part(WAIT, root=found.root, seconds=seconds)
    assert changes(found) == ([] if expected is None else [f"data.train.workers={expected}"])


def test_workers_are_those_of_a_process() -> None:
    found = measured(Path(), "data.train.workers=1", num_processes=8)
    part(WAIT, root=found.root, seconds=1)
    (hint,) = hints(found)
    assert "with 1 worker, as many as the process has CPUs" in str(hint)
    assert "Fix" not in str(hint)


@pytest.mark.parametrize(("machine", "seconds", "speaks"), [(CPU, 0.01, False), (CPU, 0.2, True), (CARD, 0.01, True)])
def test_an_optimizer_that_is_not_fused(machine: Machine, seconds: float, speaks: bool) -> None:
    found = measured(Path(), *(f"{name}={value}" for name, value in FULL.items()), machine=machine, unfused=["critic"])
    part("steps.critic", OPTIMIZER, root=found.root, seconds=seconds)
    assert changes(found) == (["steps.critic.optimizer.type=adamw"] if speaks else [])


def test_a_card_that_is_used_as_it_should_be() -> None:
    full = [f"{name}={value}" for name, value in FULL.items()]
    assert changes(measured(Path(), *full, machine=CARD, has_convolutions=True)) == []


def test_float32_on_a_card_with_faster_formats() -> None:
    found = measured(Path(), machine=replace(CARD, uses_tf32=False))
    assert changes(found) == ["train.matmul_precision=high", "train.precision=bf16"]


def test_convolutions_that_are_not_chosen_by_speed() -> None:
    found = measured(Path(), "train.precision=bf16", machine=CARD, has_convolutions=True)
    assert changes(found) == ["train.cudnn_benchmark=true"]


@pytest.mark.parametrize(("operations", "speaks"), [(10_000, False), (100_000, True)])
def test_a_network_of_many_small_operations(operations: int, speaks: bool) -> None:
    """One second for 10,000 of them are 100 us each, for 100,000 they are 10 us."""
    found = measured(Path())
    part("steps.gen", "injectors.up", "networks.gen", root=found.root, seconds=1, operations=operations)
    assert changes(found) == (["networks.gen.compile=true"] if speaks else [])


def test_a_frozen_network_in_train_mode() -> None:
    assert changes(measured(Path(), in_train_mode=["critic"])) == ["networks.critic.frozen=true"]


def test_a_loss_that_takes_most_of_the_time_with_its_network() -> None:
    found = measured(Path())
    part("steps.gen", "losses.adversarial", "networks.critic", root=found.root, seconds=0.5)
    assert changes(found) == []
    part("steps.gen", BACKWARD, "networks.critic", root=found.root, seconds=0.6)
    part("steps.gen", BACKWARD, "networks.gen", root=found.root, seconds=0.1)
    assert changes(found) == ["steps.gen.losses.adversarial.every=2"]


def test_exchange_between_processes() -> None:
    found = measured(Path(), num_processes=2)
    part("steps.gen", EXCHANGE, root=found.root, seconds=0.5)
    assert changes(found) == ["data.train.batch_size=16"]


def test_logging() -> None:
    found = measured(Path())
    part(LOG, root=found.root, seconds=0.1)
    assert changes(found) == ["log.every=30"]


def test_memory_is_saved_although_there_is_plenty() -> None:
    full = [f"{name}={value}" for name, value in FULL.items()]
    saving = ["train.accumulate=2", "networks.gen.activation_checkpointing=['0']"]
    found = measured(Path(), *full, *saving, machine=CARD)
    assert changes(found) == []
    found.root.peak = 10 * 10**9
    assert changes(found) == ["train.accumulate=1", "networks.gen.activation_checkpointing=false"]


def test_a_hint_has_place_reason_and_change() -> None:
    found = measured(Path())
    part(WAIT, root=found.root, seconds=0.25)
    (hint,) = hints(found)
    assert str(hint).startswith("toy.yml:")
    assert str(hint).endswith(
        "data.train: waiting for data takes 20% of an iteration with 0 workers. Fix: set data.train.workers=2"
    )
