"""`artschool resume-test`: what a resume does not restore is named, with the reason."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from artschool.cli.resume_test import lines, resume_test_command
from artschool.diagnose.resume_test import ResumeTest, resume_test
from artschool.engine.restore_optimizers import OptimizerRestorer
from artschool.errors import ConfigError
from artschool.registry import datasets, losses
from artschool.trace.child_process import run_in_child_process
from tests.engine import toy_parts, toy_run
from tests.engine.toy_parts import Sample, Samples

LOSS = "steps.main.losses.odd={{type: {}, in: y, weight: 1.0}}"


class Counting:
    """A loss that counts its calls in an attribute."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x.mean() * self.calls


class Remembering(nn.Module):
    """A loss that keeps what it has seen in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = [torch.zeros(2, 1)]

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach())
        return (x - self.seen[-2]).square().mean()


class Drawing:
    """A loss that draws from a generator of its own."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(1)

    def __call__(self, x: Tensor) -> Tensor:
        return x.mean() * self.generator.random()


class Transient(nn.Module):
    """A loss that keeps a mean in a buffer that is not saved."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.mean.lerp_(x.detach().mean(), 0.5)
        return (x - self.mean).square().mean()


def hasty(x: Tensor) -> Tensor:
    """A loss that draws from the system."""
    return x.mean() * int.from_bytes(os.urandom(4), "little") / 2**32


class Iterating:
    """A loss whose state cannot be seen."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)

    def __call__(self, x: Tensor) -> Tensor:
        return x.mean() * next(self.numbers)


class Aging(Samples):
    """Samples that depend on how many have been read."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.read = 0

    def __getitem__(self, index: int) -> Sample:
        self.read += 1
        return {"x": torch.full((1,), float(index + self.read)), "name": f"sample {index}"}


@pytest.fixture(scope="module", autouse=True)
def imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import what a run needs once, instead of in each copy of this process."""
    toy_run.load(tmp_path_factory.mktemp("imports"), "train.iterations=1", "log.every=1").train()


@pytest.fixture(autouse=True)
def parts(registries: None) -> None:
    for loss in (Counting, Remembering, Drawing, Transient, hasty, Iterating):
        losses.register(loss.__name__, loss)
    datasets.register("Aging", Aging)


def result_of(folder: Path, *overrides: str, iterations: int = 4, text: str = toy_parts.TEXT) -> ResumeTest:
    """The result, each training in a copy of this process."""
    text = text.replace("PLUGIN", str(Path(toy_parts.__file__)))
    return resume_test(
        toy_run.write(folder, *overrides, text=text),
        (),
        iterations=iterations,
        stop=iterations // 2,
        call=run_in_child_process,
    )


def said(result: ResumeTest) -> str:
    return "\n".join(lines(result))


def test_a_run_with_everything_that_a_checkpoint_holds_is_the_same(tmp_path: Path) -> None:
    result = result_of(tmp_path, "steps.critic.after=1", "steps.critic.every=1", text=toy_run.TEXT)
    assert result.passed, said(result)
    assert (result.first, result.stop, result.last) == (0, 2, 4)
    values, numbers = result.compared
    assert values > 60 and numbers > 20
    assert said(result) == (
        "trained: iterations 0 to 3 straight, and with a stop after 2 of 4\n"
        f"the same: {values} values of the state, {numbers} logged numbers, and all batches"
    )


@pytest.mark.parametrize(
    ("loss", "line"),
    [
        ("Counting", "steps.main.losses.odd: calls: 2 before the stop, 0 after it. Fix: keep it in a buffer"),
        ("Remembering", "steps.main.losses.odd: seen: "),
        ("Drawing", "steps.main.losses.odd: generator: Generator "),
        ("Transient", "steps.main.losses.odd: mean: float32 [] "),
    ],
)
def test_what_a_component_keeps_outside_of_its_state_is_named(tmp_path: Path, loss: str, line: str) -> None:
    result = result_of(tmp_path, LOSS.format(loss))
    assert not result.passed and not result.unsteady
    assert result.first_difference.startswith("main/odd in iteration 2: ")
    (found,) = result.not_restored
    assert found.startswith(line)
    assert ("draw from the global generators" in found) == (loss == "Drawing")


def test_a_data_set_that_remembers_is_found_by_its_batches(tmp_path: Path) -> None:
    result = result_of(tmp_path, "data.train.type=Aging")
    assert result.first_difference == "batch 2 of data.train has other values"
    (found,) = result.not_restored
    assert found.startswith("data.train: read: ") and "Fix: let the index of a sample" in found


def test_a_run_that_is_never_the_same_is_not_blamed_on_the_resume(tmp_path: Path) -> None:
    result = result_of(tmp_path, LOSS.format("hasty"))
    assert result.unsteady.startswith("main/odd in iteration 0: ")
    assert result.not_restored == []
    assert "not deterministic: two uninterrupted trainings differ, too" in said(result)


def test_what_cannot_be_seen_is_said_to_be_so(tmp_path: Path) -> None:
    result = result_of(tmp_path, LOSS.format("Iterating"))
    assert not result.passed and not result.unsteady and not result.not_restored
    assert "not restored: nothing that can be seen from outside" in said(result)


def test_what_is_not_restored_and_has_no_effect_is_a_note(tmp_path: Path) -> None:
    result = result_of(tmp_path, "steps.main.losses.odd={type: Counting, in: y, weight: 1.0, before: 1}")
    assert result.passed
    assert "note: not restored, without effect so far: steps.main.losses.odd: calls: 2 before" in said(result)


def test_a_part_of_the_checkpoint_that_a_resume_forgets_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(self: OptimizerRestorer, steps: object) -> None:
        """Restore no optimizer."""

    monkeypatch.setattr(OptimizerRestorer, "restore", forget)
    result = result_of(tmp_path, "steps.main.optimizer={type: adamw, lr: 0.1}")
    assert result.differing["optimizer of steps.main"] == (3, 3)
    assert any(line.startswith("optimizer of steps.main: net.weight/exp_avg: ") for line in result.not_restored)
    assert all(line.endswith("It is in the checkpoint: please report this") for line in result.not_restored)


def test_a_step_that_does_not_run_is_named(tmp_path: Path) -> None:
    result = result_of(tmp_path, "steps.main.after=100", "train.iterations=200")
    assert "note: step main does not run in these iterations. Fix: train.start_iteration=100" in said(result)


PLUGIN = """
from torch import Tensor
from artschool.registry import losses

calls = []

@losses.register
def remembering(x: Tensor) -> Tensor:
    calls.append(len(calls))
    return x.mean() * len(calls)
"""


@pytest.mark.soak
def test_the_command_trains_in_processes_of_their_own_and_ends_with_6(tmp_path: Path) -> None:
    """Over five seconds: four processes import torch."""
    (tmp_path / "own.py").write_text(PLUGIN)
    plugins = f"plugins=[{toy_parts.__file__}, {tmp_path / 'own.py'}]"
    file = toy_run.write(tmp_path, plugins, LOSS.format("remembering"), text=toy_parts.TEXT)
    command = [sys.executable, "-m", "artschool", "resume-test", str(file), "--iterations", "4"]
    done = subprocess.run([*command, "--stop", "1"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 6, done.stderr
    assert "first difference: main/odd in iteration 1: " in done.stdout
    assert "not restored: plugin own.py: calls: " in done.stdout
    assert "toy.yml: a resumed training is not the same as an uninterrupted one" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["own.py", "toy.yml"]


def test_what_a_failed_training_has_recorded_can_be_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the incident, which would go with the temporary folder."""

    def raising(x: Tensor) -> Tensor:
        raise ValueError("boom")

    losses.register("raising", raising)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ValueError, match="boom") as caught:
        text = toy_parts.TEXT.replace("PLUGIN", str(Path(toy_parts.__file__)))
        file = toy_run.write(tmp_path, LOSS.format("raising"), text=text)
        resume_test(file, (), iterations=4, stop=2, call=lambda part: part())
    incident = next(tmp_path.glob("artschool-resume-test-*/straight/incidents/00000000-error"))
    assert f"An incident is recorded. To reproduce it: artschool replay {incident}" in caught.value.__notes__
    assert caught.value.__notes__[-1] == f"What was trained for the test is kept in {incident.parents[2]}"


@pytest.mark.parametrize("stop", [4, 9])
def test_a_stop_lies_between_the_iterations(stop: int) -> None:
    with pytest.raises(ConfigError, match=f"--stop: expected 1 to 3, got {stop}"):
        resume_test_command(Path("none.yml"), (), iterations=4, stop=stop)
