"""Small parts that show what steps read from which stream: numbers as samples, and losses whose gradient is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

import artschool
from artschool.engine.run import Run
from artschool.registry import datasets, injectors, networks
from tests.engine.toy_run import write

TEXT = """
name: streams
plugins: [PLUGIN]
data:
  train: {type: counted, length: 40, batch_size: 4, shuffle: false}
  plain: {type: counted, start: 100, length: 10, batch_size: 2, shuffle: false}
networks: {net: {type: slope}, critic: {type: slope}}
steps:
  critic:
    trains: critic
    data: plain
    repeat: 3
    optimizer: {type: sgd, lr: 1e-4}
    injectors:
      look: {type: look, in: plain.x, out: y}
      call: {type: forward, network: critic, in: y, out: z}
    losses: {mean: {type: mean, in: z, weight: 1.0}}
  net:
    trains: net
    optimizer: {type: sgd, lr: 1e-4}
    injectors:
      look: {type: look, in: x, out: y}
      look_plain: {type: look, in: plain.x, out: w}
      call: {type: forward, network: net, in: y, out: z}
      call_plain: {type: forward, network: net, in: w, out: v}
    losses: {mean: {type: mean, in: z, weight: 1.0}, plain: {type: mean, in: v, weight: 0.5}}
train: {iterations: 4, device: cpu}
log: {every: 1}
checkpoint: {every: 1, keep_last: 8}
"""

SEEN: list[tuple[list[float], float]] = []
"""The samples of each call of `look`, and a random number."""


class Number(TypedDict):
    """A sample."""

    x: Tensor


@datasets.register
class Counted:
    """Sample i is the number start + i, plus noise; those of the range `bad` are NaN."""

    def __init__(self, length: int = 8, start: float = 0.0, noise: float = 0.0, bad: tuple[int, int] = (0, 0)) -> None:
        self._length, self._start, self._noise, self._bad = length, start, noise, range(*bad)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Number:
        number = float("nan") if index in self._bad else self._start + index
        return {"x": torch.tensor([number]) + self._noise * torch.rand(1)}


@networks.register
class Slope(nn.Module):
    """`w * x`, with w = 1 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return self.w * x


@injectors.register
def look(x: Tensor) -> Tensor:
    """Keep what is seen."""
    if type(x) is Tensor:
        SEEN.append((x.flatten().tolist(), torch.rand(()).item()))
    return x


@injectors.register
def jitter(x: Tensor) -> Tensor:
    """The value plus noise."""
    return x + torch.rand(x.shape, device=x.device)


def load(folder: Path, *overrides: str, text: str = TEXT, **options: Any) -> Run:
    """The run of a file with these parts, in `folder`/run."""
    folder.mkdir(exist_ok=True)
    file = write(folder, *overrides, text=text)
    return artschool.load(file, run_dir=folder / "run", **options)
