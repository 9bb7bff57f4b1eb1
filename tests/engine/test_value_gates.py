"""Gates by value: of a key, decided in the iteration itself; of a number of the log, decided after it is logged."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from artschool.config.value_gates import Rule
from artschool.engine.decisions import KeyGate
from artschool.engine.run import Run
from artschool.engine.run_state import RunState
from artschool.errors import Stopped
from tests.engine import toy_run
from tests.engine.test_ranks import finish, launch
from tests.engine.toy_parts import __file__ as parts
from tests.engine.toy_run import Recorder, StopAfter, fingerprint, write
from tests.reports.small import artschool

pytestmark = pytest.mark.usefixtures("registries")
TEXT = f"""
name: gated
plugins: [{parts}]
data: {{train: {{type: part_samples, length: 6, batch_size: 2, shuffle: false}}}}
networks: {{net: {{type: part_shift}}}}
steps:
  main:
    trains: net
    while: {{value: x, below: 1, until: 3}}
    optimizer: {{type: sgd, lr: 0.5}}
    injectors: {{shift: {{type: forward, network: net, in: x, out: y}}}}
    losses: {{mean: {{type: mean, in: y, weight: 1.0}}}}
train: {{iterations: 6, device: cpu}}
ema: {{decay: 0.5, networks: [net]}}
log: {{every: 1}}
"""
"""The means of `x` are 0.5, 2.5, 4.5, 0.5, 2.5 and 4.5. The gradient is 1, so an update subtracts 0.5."""
BY_NUMBER = "steps.main.while={value: main/mean, below: 0, until: 1}"
BOTH = "steps.main.losses.mean.while={value: main/total, below: 0, until: 1}"


class Weights(Recorder):
    """Keeps the weight and its average after each iteration."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[float] = []
        self.averages: list[float] = []

    def start(self, run: RunState) -> None:
        pass

    def advance(self, run: RunState) -> None:
        self.weights.append(float(run.networks["net"].get_parameter("weight")))
        self.averages.append(float(run.emas["net"].module.get_parameter("weight")))


def trained(folder: Path, *overrides: str) -> tuple[Run, Weights]:
    folder.mkdir(exist_ok=True)
    run, logger = toy_run.load(folder, *overrides, text=TEXT), Weights()
    run.loggers = [logger]
    return run.train(), logger


@pytest.mark.parametrize(
    ("gate", "opens"),
    [
        ("{value: x, below: 1, until: 3}", [1, 1, 0, 1, 1, 0]),
        ("{value: x, below: 1}", [1, 0, 0, 1, 0, 0]),
        ("{value: x, above: 2}", [0, 1, 1, 0, 1, 1]),
        ("{value: x, above: 4, until: 0.4}", [1, 1, 1, 1, 1, 1]),
        ("{value: x, above: 4, until: 0.6}", [0, 0, 1, 0, 0, 1]),
        ("x", [0, 1, 1, 0, 1, 1]),
    ],
)
def test_an_update_is_skipped_while_the_key_closes_the_gate(tmp_path: Path, gate: str, opens: list[int]) -> None:
    run, logger = trained(tmp_path, f"steps.main.while={gate}")
    weights, averages, weight, average = [], [], 0.0, 0.0
    for is_open in opens:
        weight -= 0.5 * is_open
        average = (average + weight) / 2 if is_open else average
        weights.append(weight)
        averages.append(average)
    assert (logger.weights, logger.averages) == (weights, averages)
    assert logger.values("main/open") == opens
    assert run.steps[0].update is not None and run.steps[0].update.skips().total == 0


@pytest.mark.parametrize(
    "override",
    [
        "train.accumulate=2",
        "train.precision=bf16",
        "train.non_finite=ignore",
        "steps.main.optimizer={type: sgd, lr: 0.5, foreach: true}",
        "steps.main.optimizer={type: adam, lr: 0.5}",
    ],
)
def test_any_optimizer_skips_and_parts_of_a_batch_decide_together(tmp_path: Path, override: str) -> None:
    assert trained(tmp_path, override)[1].weights == pytest.approx([-0.5, -1.0, -1.0, -1.5, -2.0, -2.0], abs=1e-5)


@pytest.mark.parametrize("owner", ["steps.main", "steps.main.optimizer", "networks.net"])
def test_iterations_in_which_the_step_does_not_train_decide_nothing(tmp_path: Path, owner: str) -> None:
    _, logger = trained(tmp_path, "steps.main.while={value: x, below: 3}", f"{owner}.every=2")
    assert logger.weights == [-0.5, -0.5, -0.5, -0.5, -1.0, -1.0]
    assert logger.values("main/open") == [1.0, 0.0, 1.0]  # By 0.5, 4.5 and 2.5.


@pytest.mark.parametrize("is_open", [0.0, 1.0])
def test_a_batch_without_the_key_leaves_the_gate_as_it_is(is_open: float) -> None:
    gate = KeyGate(Rule("x", 1.0, 3.0, is_below=True), torch.device("cpu"))
    gate.open.fill_(is_open)
    assert gate.closed(torch.zeros(2)) == 1.0 - is_open == 1.0 - gate.open


def test_updates_that_are_not_finite_are_counted_apart(tmp_path: Path) -> None:
    spoil = "steps.main.losses.spoil={type: part_spoil, in: y, at: [1, 2], weight: 0.0}"
    run, logger = trained(tmp_path, spoil)
    assert logger.weights == [-0.5, -0.5, -0.5, -1.0, -1.5, -1.5]
    assert run.steps[0].update is not None and run.steps[0].update.skips().total == 2


def by_number(iterations: int, log_every: int) -> list[float]:
    """The weights if the gate is open until the mean reaches 1, and opens again below 0."""
    weights, weight, is_open, numbers = [], 0.0, True, []
    for iteration in range(iterations):
        numbers.append((0.5, 2.5, 4.5)[iteration % 3] + weight)
        weight -= 0.5 * is_open
        weights.append(weight)
        if len(numbers) == log_every:
            is_open = sum(numbers) / log_every < (1.0 if is_open else 0.0)
            numbers.clear()
    return weights


@pytest.mark.parametrize("every", [1, 2])
def test_a_number_decides_from_the_iteration_after_its_log_point(tmp_path: Path, every: int) -> None:
    _, logger = trained(tmp_path, BY_NUMBER, "train.iterations=14", f"log.every={every}")
    assert logger.weights == by_number(14, every)
    assert set(logger.values("main/open")) == {0.0, 1.0}


def test_a_loss_counts_only_while_its_number_opens_the_gate(tmp_path: Path) -> None:
    extra = "steps.main.losses.more={type: mean, in: y, weight: 1.0, while: {value: main/mean, above: 2}}"
    _, logger = trained(tmp_path, extra, "steps.main.while=null")
    steps = [0.0, *logger.weights]
    moves = [before - after for before, after in pairwise(steps)]
    opens = [True, *(number > 2 for number in logger.values("main/mean")[:-1])]
    assert moves == [1.0 if is_open else 0.5 for is_open in opens]
    assert 0 < sum(opens) < 6 and logger.values("main/more/open") == [float(is_open) for is_open in opens]


@pytest.mark.parametrize("overrides", [(), (BY_NUMBER, "log.every=2"), (BOTH,)])
@pytest.mark.parametrize("middle", [2, 3])
def test_a_resume_has_the_bits(tmp_path: Path, overrides: tuple[str, ...], middle: int) -> None:
    whole, _ = trained(tmp_path / "whole", *overrides)
    (tmp_path / "parts").mkdir()
    run = toy_run.load(tmp_path / "parts", *overrides, text=TEXT)
    run.loggers = [StopAfter(middle)]
    with pytest.raises(Stopped):
        run.train()
    assert fingerprint(trained(tmp_path / "parts", *overrides)[0]) == fingerprint(whole)


def test_another_number_starts_with_an_open_gate(tmp_path: Path) -> None:
    trained(tmp_path, BY_NUMBER, "train.iterations=3")
    other = write(tmp_path, BY_NUMBER.replace("main/mean", "main/total"), text=TEXT)
    printed = artschool("train", str(other), "--run-dir", str(tmp_path / "run"), "--no-trace")[1]
    assert "dropped: state of steps.main.while, which does not follow 'main/mean' any more" in printed


def test_check_plan_explain_graph_and_schema_know_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, text=TEXT)
    gate = "while x is below 1, until 3"
    code, checked = artschool("check", "toy.yml", "--trace")
    assert code == 0 and f"with sgd at 0.5, {gate}" in checked
    assert "data.train -> main.shift, steps.main.while" in checked
    assert f"updates net at most 6 times, {gate}" in artschool("plan", "toy.yml")[1]
    assert gate in artschool("explain", "toy.yml", "steps.main")[1]
    assert "read by  step main" in artschool("explain", "toy.yml", "steps.main.while.value")[1]
    assert f"trains net, {gate}" in artschool("graph", "toy.yml")[1]
    assert '"while"' in artschool("schema")[1]


def test_the_trace_finds_a_number_that_no_component_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "steps.main.while={value: main/mean/parts, below: 1}", text=TEXT)
    assert artschool("check", "toy.yml")[0] == 0  # Only a running component says what it logs.
    code, printed = artschool("check", "toy.yml", "--trace")
    assert code == 2 and "steps.main.while: follows 'main/mean/parts', which step 'main' never logs" in printed
    assert "Logged numbers: main/mean, main/total." in printed


@pytest.mark.soak
def test_two_processes_decide_together(tmp_path: Path) -> None:
    """Over five seconds: two processes import torch. Alone, they would decide differently: they have 2 and 3."""
    gate = "steps.main.while={value: x, below: 2.7}"
    code, output = finish(launch(tmp_path, write(tmp_path, gate, text=TEXT), 2))
    assert code == 0, output
    run = toy_run.load(tmp_path, gate, text=TEXT)
    assert run.iteration == 6 and torch.equal(run.networks["net"].get_parameter("weight"), torch.tensor(-2.0))
