"""Components that sleep, or keep what they compute."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn

from artschool import Context
from artschool.registry import datasets, injectors, losses, networks
from tests.engine import toy_run

SLEEP_S = 0.12
kept: list[float] = []


@datasets.register("sleepy_pairs")
class SleepyPairs(toy_run.Pairs):
    """Pairs, of which the first of each batch takes long to read."""

    def __getitem__(self, index: int) -> toy_run.Pair:
        time.sleep(SLEEP_S / 8)
        return super().__getitem__(index)


@injectors.register("sleepy_copy")
def sleepy_copy(value: Tensor) -> Tensor:
    """The value itself, late."""
    time.sleep(SLEEP_S)
    return value


@losses.register("sleepy_l1")
def sleepy_l1(fake: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference, late."""
    time.sleep(SLEEP_S)
    return (fake - real).abs().mean()


@losses.register("failing_l1")
def failing_l1(fake: Tensor, real: Tensor, *, at: int, context: Context) -> Tensor:
    """Mean absolute difference, until an iteration in which it fails."""
    if context.iteration == at:
        raise ValueError("a loss of a plugin fails")
    return (fake - real).abs().mean()


@losses.register("kept_l1")
def kept_l1(fake: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference, which the test keeps."""
    value = (fake - real).abs().mean()
    kept.append(float(value.detach()))
    return value


class _SleepsBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        time.sleep(SLEEP_S)
        return gradients[0]


class _Sleepy(nn.Module):
    def forward(self, value: Tensor) -> Tensor:
        """The same."""
        result: Tensor = _SleepsBackward.apply(value)  # type: ignore[no-untyped-call]  # torch
        return result


@networks.register("sleepy_critic")
def sleepy_critic() -> nn.Module:
    """A critic whose backward pass takes long."""
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), _Sleepy(), nn.Conv2d(4, 1, 1))


@networks.register("one_layer")
def one_layer(size: int) -> nn.Module:
    """One matrix."""
    return nn.Linear(size, size, bias=False)


class Coder(nn.Module):
    """A network of which the file calls a method."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 12, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, value: Tensor) -> Tensor:
        """Twice the size."""
        result: Tensor = self.shuffle(self.layer(value))
        return result

    def enlarge(self, value: Tensor) -> Tensor:
        """The same, by another name."""
        result: Tensor = self(value)
        return result


networks.register("coder")(Coder)
