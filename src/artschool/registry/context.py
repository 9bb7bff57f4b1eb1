"""The context that a run gives to the components it calls."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class ContextSource(Protocol):
    """The part of a run that a context reads."""

    iteration: int
    training: bool
    device: torch.device
    share: float

    @property
    def generator(self) -> torch.Generator:
        """The random generator of the device, seeded by iteration."""

    def scaled(self, loss: Tensor) -> Tensor:
        """A loss as the current step multiplies it before it is differentiated."""

    def record(self, name: str, value: Tensor | float) -> None:
        """Record a named number for the log."""


class Context:
    """Read-only facts about the run. A component receives it in a parameter annotated `Context`.

    `iteration` counts from 0. `training` is False during evaluations. `device` holds the tensors of the run.
    `generator` is the random generator of `device`, seeded by (seed, iteration, rank). `share` is the weight of the
    current micro-batch. `scaled` is for components that differentiate.
    """

    def __init__(self, source: ContextSource, path: str) -> None:
        self._source = source
        self._path = path

    @property
    def iteration(self) -> int:
        """The current iteration, counted from 0."""
        return self._source.iteration

    @property
    def training(self) -> bool:
        """True in training, False in evaluations."""
        return self._source.training

    @property
    def device(self) -> torch.device:
        """The device that holds the tensors of this run."""
        return self._source.device

    @property
    def generator(self) -> torch.Generator:
        """The random generator of `device`. Its numbers depend only on seed, iteration and rank."""
        return self._source.generator

    @property
    def share(self) -> float:
        """The weight of the current micro-batch of this process: its part of the samples of the whole batch."""
        return self._source.share

    def scaled(self, loss: Tensor) -> Tensor:
        """A loss times the factor that keeps gradients in the range of fp16. In other precisions, the loss itself.

        A component that differentiates a loss applies it, and divides the gradient by `scaled` of 1.
        """
        return self._source.scaled(loss)

    def log(self, name: str, value: Tensor | float) -> None:
        """Record a scalar under `<step>/<component>/<name>`. A tensor stays on its device until the next log point."""
        self._source.record(f"{self._path}/{name}", value)
