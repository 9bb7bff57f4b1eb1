"""Small parts whose numbers can be done by hand, and a logger that copies the weights after every iteration."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from artschool.engine.run import Run
from artschool.engine.run_state import RunState
from artschool.engine.train_step import TrainStep
from artschool.registry import datasets, injectors, losses, metrics, networks
from artschool.registry.signature import Context, Scheduled
from tests.engine import toy_run

TEXT = """
name: parts
seed: 3
plugins: [PLUGIN]
data: {train: {type: part_samples, length: 6, batch_size: 2, shuffle: false}}
networks: {net: {type: part_shift}}
steps:
  main:
    trains: net
    optimizer: {type: sgd, lr: 0.5}
    injectors: {shift: {type: forward, network: net, in: x, out: y}}
    losses: {mean: {type: mean, in: y, weight: 1.0}}
train: {iterations: 4, device: cpu}
log: {every: 1}
"""


class Sample(TypedDict):
    """Sample i is filled with i."""

    x: Tensor
    name: str


@datasets.register("part_samples")
class Samples:
    """`x` is (width,), all elements the sample's index."""

    def __init__(self, length: int, width: int = 1) -> None:
        self._length, self._width = length, width

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        return {"x": torch.full((self._width,), float(index)), "name": f"sample {index}"}


@networks.register("part_shift")
class Shift(nn.Module):
    """x + weight, the weight 0 at first: the gradient of the mean is 1, so the weight counts updates."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(start))

    def forward(self, x: Tensor) -> Tensor:
        """(...) to (...)."""
        return x + self.weight


@networks.register("part_in_a_list")
class InAList(nn.Module):
    """Hides its module in a list, where torch does not find it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(1, 1)]

    def forward(self, x: Tensor) -> Tensor:
        """(..., 1) to the same."""
        return self.layers[0](x)  # type: ignore[no-any-return]  # Modules return anything.


@networks.register("part_hasty")
class Hasty(nn.Module):
    """Forgets `super().__init__()`, which torch tells by an AttributeError."""

    def __init__(self) -> None:
        self.layer = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(..., 1) to the same."""
        return self.layer(x)  # type: ignore[no-any-return]  # Modules return anything.


@networks.register("part_linear")
def linear(width: int = 4) -> nn.Module:
    """(B, width) to (B, width)."""
    return nn.Linear(width, width)


@networks.register("part_norm")
def norm(width: int = 3) -> nn.Module:
    """(B, width) to the same."""
    return nn.BatchNorm1d(width)


@metrics.register("part_mean")
def mean_of_samples(x: Tensor) -> Tensor:
    """The mean of x."""
    return x.mean()


@losses.register("part_spoil")
def spoil(x: Tensor, *, at: list[int], by: str = "nan", context: Context) -> Tensor:
    """The mean of x, and from the iterations `at` a gradient that is not finite."""
    return x.mean() * (float(by) if context.iteration in at else 1.0)


@losses.register("part_hurried")
def hurried(x: Tensor) -> Tensor:
    """The mean of x, which waits for the device as no loss should."""
    value = x.mean()
    return value * 1.0 if value.item() > 0 else value


@injectors.register("part_scale")
def scale(x: Tensor, *, factor: Scheduled = 1.0) -> Tensor:
    """`factor * x`."""
    return factor * x


SEEN: list[tuple[int, str, Any]] = []
"""What every `part_witness` saw: iteration, its name, and the values. A test clears it."""


@injectors.register("part_witness")
def witness(x: Tensor, *, name: str, context: Context) -> None:
    """Keep what comes in. Lists of text come in too, since a key may hold anything."""
    SEEN.append((context.iteration, name, x))


@injectors.register("part_weak")
def weak(x: Tensor, *, name: str, context: Context) -> Tensor:
    """A new tensor that only the state holds; whether it lives is for the test to see."""
    made = x + 1
    SEEN.append((context.iteration, name, weakref.ref(made)))
    return made


@injectors.register("part_alive")
def alive(x: Tensor, *, context: Context) -> None:
    """Keep whether what `part_weak` made is still there."""
    refs = {name: ref() is not None for _, name, ref in SEEN if isinstance(ref, weakref.ref)}
    SEEN.append((context.iteration, "alive", refs))


def seen(name: str) -> list[tuple[int, Any]]:
    """What the witness of that name saw."""
    return [(iteration, value) for iteration, owner, value in SEEN if owner == name]


class Snapshots(toy_run.Recorder):
    """Copies, after each iteration, the networks, their averages and the whole state of every optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[dict[str, Any]] = []

    def advance(self, run: RunState) -> None:
        super().advance(run)
        self.taken.append(snapshot(run))

    def weights(self, network: str = "net", name: str = "weight") -> list[float]:
        """A scalar parameter before the first iteration and after each."""
        return [float(taken[network][name]) for taken in self.taken]


def snapshot(run: RunState) -> dict[str, Any]:
    """Copies by name of what training moves: networks, `<network>.ema`, and optimizers as `steps.<step>`."""
    modules = {**run.networks, **{ema.name: ema.module for ema in run.emas.values()}}
    states: dict[str, Any] = {name: module.state_dict() for name, module in modules.items()}
    for step in run.steps:
        if step.update is not None:
            states[f"steps.{step.graph.name}"] = step.update.optimizer.state_dict()["state"]
    return copy.deepcopy(states)


def same(one: Any, other: Any) -> bool:
    """Whether two states hold the same bits."""
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def load(folder: Path, *overrides: str, text: str = TEXT, **options: Any) -> tuple[Run, Snapshots]:
    """The run of the file, and the only logger it speaks to."""
    run = toy_run.load(folder, *overrides, text=text.replace("PLUGIN", str(Path(__file__).resolve())), **options)
    snapshots = Snapshots()
    run.loggers = [snapshots]
    return run, snapshots


def step_of(run: Run, name: str) -> TrainStep:
    """A step by its name."""
    return next(step for step in run.steps if step.graph.name == name)
