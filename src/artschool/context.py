"""What a component may know about the run that calls it."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Clock(Protocol):
    """What a context reads from the run."""

    iteration: int
    training: bool
    device: torch.device

    @property
    def generator(self) -> torch.Generator:
        """The generator of the device, seeded by iteration."""

    def record(self, name: str, value: Tensor | float) -> None:
        """Keep a named number for the log."""


class Context:
    """What a component may know about the run. Annotate a parameter with it to receive it.

    Attributes are read-only: `iteration` counts from 0, `training` is False during evaluation, `device` is where
    tensors live, `generator` is that device's random generator, seeded by (seed, iteration, rank).
    """

    def __init__(self, clock: Clock, path: str) -> None:
        self._clock = clock
        self._path = path

    @property
    def iteration(self) -> int:
        """The iteration that runs, counted from 0."""
        return self._clock.iteration

    @property
    def training(self) -> bool:
        """Whether a step runs, rather than an evaluation."""
        return self._clock.training

    @property
    def device(self) -> torch.device:
        """Where the tensors of this run live."""
        return self._clock.device

    @property
    def generator(self) -> torch.Generator:
        """The random generator of `device`; what it draws depends on seed, iteration and rank alone."""
        return self._clock.generator

    def log(self, name: str, value: Tensor | float) -> None:
        """Record a scalar under `<step>/<component>/<name>`. A tensor stays on its device until the next log point."""
        self._clock.record(f"{self._path}/{name}", value)
