"""What a trace says of every recipe is what happens when it trains: shapes, gradients, parameters, memory."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

import artschool
from artschool.config.structure import Config
from artschool.engine.freeze import all_frozen
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.run import Run
from artschool.engine.train_iteration import train_iteration
from artschool.read.read import check_file
from artschool.steps.call import LossCall
from artschool.steps.state import State
from artschool.trace.trace import trace

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.yml"))
pytestmark = pytest.mark.usefixtures("beside_the_corpus")


def load(recipe: Path, folder: Path) -> tuple[Config, Run]:
    """The checked file, and its run without workers."""
    config = check_file(recipe)
    overrides = ["train.device=cpu", *(f"data.{name}.workers=0" for name in config.data)]
    return config, artschool.load(recipe, overrides, run_dir=folder)


def first_batch(run: Run, iteration: int) -> MicroBatches:
    """The batches of the first iteration, in as many parts as another one's."""
    with closing(run.streams.iterations(1, run.device)) as batches:
        parts = next(batches)
    run.streams.go_to({})
    return MicroBatches(parts, run.sections.train.num_micro_batches(iteration), run.device)


class Truth:
    """Writes down what real iterations do."""

    def __init__(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kinds: dict[str, tuple[tuple[int, ...], torch.dtype]] = {}
        self.reached: dict[str, dict[str, set[str]]] = {}
        self._run = run
        write, call = State.write, LossCall.__call__

        def noted_write(state: State, key: str, value: object, *, writer: str) -> None:
            if isinstance(value, Tensor):
                self.kinds[key] = tuple(value.shape), value.dtype
            write(state, key, value, writer=writer)

        def noted_loss(loss: LossCall, state: State) -> Tensor:
            value = call(loss, state)
            if value.requires_grad:
                self._note(loss.path, value)
            return value

        monkeypatch.setattr(State, "write", noted_write)
        monkeypatch.setattr(LossCall, "__call__", noted_loss)

    def _note(self, path: str, value: Tensor) -> None:
        for name, network in self._run.networks.items():
            own = {path: p for path, p in network.named_parameters() if p.requires_grad}
            if not own:
                continue
            gradients = torch.autograd.grad(value, list(own.values()), retain_graph=True, allow_unused=True)
            names = {path for path, gradient in zip(own, gradients, strict=True) if gradient is not None}
            if names:
                self.reached.setdefault(path, {}).setdefault(name, set()).update(names)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_trace_says_what_happens(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, run = load(recipe, tmp_path)
    found = trace(config)
    truth = Truth(run, monkeypatch)
    with all_frozen(run.networks.values()):
        for iteration in found.regimes:
            run.context.iteration = iteration
            train_iteration(run.steps, run.emas, first_batch(run, iteration), run.context)
    written = {key: value for key, value in found.keys.items() if not value.writer.startswith("data.")}
    kinds = {
        key: f"{shape} {str(dtype).removeprefix('torch.')}"
        for key, (shape, dtype) in truth.kinds.items()
        if not found.keys[key].writer.startswith("data.")
    }
    assert {key: value.kind for key, value in written.items()} == kinds
    reached = {
        path: {network: set(names) for network, names in reach.networks.items()}
        for path, reach in found.reached.items()
    }
    assert reached == truth.reached
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in run.networks.items()}
    assert {name: sum(p.numel() for p in net.parameters()) for name, net in found.networks.items()} == counts


def peak_of(run: Run, iteration: int) -> dict[str, int]:
    """The most bytes that torch's allocator held during each step, beyond those before it."""
    peaks = {}
    states = first_batch(run, iteration)
    run.context.iteration = iteration
    for step in run.steps:
        if not step.graph.when.active(iteration):
            continue
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiled:
            step.run(states, run.context)
        inner: Any = profiled.profiler
        changes = [event for event in inner.kineto_results.events() if event.name() == "[memory]"]
        live = most = 0
        for event in sorted(changes, key=lambda event: event.start_ns()):
            live += event.nbytes()
            most = max(most, live)
        peaks[step.graph.name] = most
    return peaks


@pytest.mark.parametrize("name", ["faces_vqvae", "digits_byol", "photo_esrgan"])
def test_memory_is_what_the_allocator_holds(name: str, tmp_path: Path) -> None:
    config, run = load(ROOT / "recipes" / f"{name}.yml", tmp_path)
    found = trace(config)
    measured: dict[str, int] = {}
    with all_frozen(run.networks.values()):
        for iteration in found.regimes:
            train_iteration(run.steps, run.emas, first_batch(run, iteration), run.context)  # Makes optimizers' state.
            for step, peak in peak_of(run, iteration).items():
                measured[step] = max(measured.get(step, 0), peak)
    traced = {step: kinds.total() for step, kinds in found.memory.steps.items()}
    assert traced == pytest.approx(measured, rel=0.15)
    state = [
        v for step in run.steps if step.update for own in step.update.optimizer.state.values() for v in own.values()
    ]
    assert found.memory.lasting["optimizer state"] == sum(value.nbytes for value in state)


@pytest.mark.parametrize("name", ["faces_vqvae", "digits_gan"])
def test_a_checkpoint_is_as_large_as_foretold(name: str, tmp_path: Path) -> None:
    recipe = ROOT / "recipes" / f"{name}.yml"
    found = trace(check_file(recipe))
    config = check_file(recipe)
    overrides = ["train.iterations=1", "train.device=cpu", *(f"data.{name}.workers=0" for name in config.data)]
    artschool.load(recipe, overrides, run_dir=tmp_path).train()
    files = (tmp_path / "checkpoints" / "00000001").iterdir()
    assert found.checkpoint == pytest.approx(sum(file.stat().st_size for file in files), rel=0.15)


def test_the_trace_of_any_process_is_that_of_a_single_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The codebook looks for the vectors of its process."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert trace(check_file(ROOT / "recipes" / "faces_vqvae.yml")).processes == 2
