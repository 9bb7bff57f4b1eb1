"""State of components: seeded, left alone by evaluations, and resumed even if its shape comes from the first batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import artschool
from artschool.engine.run import Run

pytestmark = pytest.mark.usefixtures("registries")

PARTS = '''
import torch
from torch import Tensor, nn
from artschool import datasets, injectors, losses, networks
from typing import TypedDict


class Sample(TypedDict):
    x: Tensor


@datasets.register
class Drawn:
    """Draws its samples when it is built."""

    def __init__(self, length: int = 8) -> None:
        self.rows = torch.randn(length, 3)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        return {"x": self.rows[index]}


class Queue(nn.Module):
    """Starts with random keys, and is moved in place."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("queue", torch.randn(3))

    def forward(self, x: Tensor) -> Tensor:
        value = (x * self.queue.clone()).mean()
        self.queue.lerp_(x.detach().mean(0), 0.5)
        return value


losses.register("queue")(Queue)


@injectors.register
class LastBatch(nn.Module):
    """Mixes a batch with the last one. How large that is, it learns from the first."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(0))

    def forward(self, x: Tensor) -> Tensor:
        kept, self.kept = (self.kept if len(self.kept) else x.detach()), x.detach().clone()
        return (x + kept) / 2


@networks.register
class Centred(nn.Module):
    """Subtracts the mean of the last batch, whose shape it learns from the first."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.register_buffer("mean", None)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(0) if self.mean is None else self.mean
        if self.training:
            self.mean = x.detach().mean(0)
        return self.layer(x - mean)
'''
TEXT = """
name: kept
seed: SEED
plugins: [parts.py]
data: {train: {type: drawn, batch_size: 2}, val: {type: drawn, length: 4, batch_size: 2}}
networks: {net: {type: centred}}
steps:
  main:
    trains: net
    optimizer: {type: adam, lr: 1e-2}
    injectors:
      mixed: {type: last_batch, in: x, out: mixed}
      y: {type: forward, network: net, in: mixed, mode: train, out: y}
    losses:
      keys: {type: queue, in: y, weight: 1.0}
      size: {type: l2, in: [y, x], weight: 1.0}
train: {iterations: 6, device: cpu}
evaluate: {held: {data: val, every: EVERY, steps: [main]}}
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("parts.py").write_text(PARTS)


def build(name: str, *changes: tuple[str, str], seed: int = 3, every: int = 100, **options: Any) -> Run:
    text = TEXT.replace("SEED", str(seed)).replace("EVERY", str(every))
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    Path("kept.yml").write_text(text)
    return artschool.load("kept.yml", run_dir=name, **options)


def state_of(run: Run) -> dict[str, Tensor]:
    modules = {**run.networks, **run.modules}
    return {f"{path}/{name}": value for path, module in modules.items() for name, value in module.state_dict().items()}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_what_components_draw_when_they_are_built_depends_on_the_seed_and_their_path_only() -> None:
    more = ("      mixed:", "      earlier: {type: queue_of, in: x, out: _}\n      mixed:")
    Path("parts.py").write_text(PARTS + '\n\ninjectors.register("queue_of")(Queue)\n')
    runs = [build("a"), build("b", more), build("c", seed=4)]
    queues = [run.modules["steps.main.losses.keys"].get_buffer("queue") for run in runs]
    samples = [run.data.loader.dataset[0]["x"] for run in runs]
    for drawn in (queues, samples):
        assert torch.equal(drawn[0], drawn[1])
        assert not torch.equal(drawn[0], drawn[2])
    earlier = runs[1].modules["steps.main.injectors.earlier"].get_buffer("queue")
    assert not torch.equal(earlier, queues[1])
    state = torch.get_rng_state()
    build("d")
    assert torch.equal(torch.get_rng_state(), state)


def test_evaluations_leave_the_state_of_components_and_networks_alone() -> None:
    often, never = build("often", every=1), build("never")
    for run in (often, never):
        run.train()
    assert_equal(state_of(often), state_of(never))


def test_an_evaluation_before_the_first_batch_gives_no_buffer_its_shape() -> None:
    run = build("fresh")
    before = {name: value.clone() for name, value in state_of(run).items()}
    kept = run.modules["steps.main.injectors.mixed"].kept
    run.evaluations[0].run(0, run.device)
    assert_equal(state_of(run), before)
    assert run.modules["steps.main.injectors.mixed"].kept is kept


def test_buffers_shaped_by_the_first_batch_resume_to_the_same_bits() -> None:
    whole = build("whole")
    whole.train()
    build("parts", ("iterations: 6", "iterations: 3")).train()
    resumed = build("parts")
    assert resumed.iteration == 3
    resumed.train()
    assert_equal(state_of(resumed), state_of(whole))
    assert state_of(whole)["steps.main.injectors.mixed/kept"].shape == (2, 3)
