"""What a component may know about the run that calls it."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class ContextSource(Protocol):
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

    def __init__(self, source: ContextSource, path: str) -> None:
        self._source = source
        self._path = path

    @property
    def iteration(self) -> int:
        """The iteration that runs, counted from 0."""
        return self._source.iteration

    @property
    def training(self) -> bool:
        """Whether a step runs, rather than an evaluation."""
        return self._source.training

    @property
    def device(self) -> torch.device:
        """Where the tensors of this run live."""
        return self._source.device

    @property
    def generator(self) -> torch.Generator:
        """The random generator of `device`; what it draws depends on seed, iteration and rank alone."""
        return self._source.generator

    def log(self, name: str, value: Tensor | float) -> None:
        """Record a scalar under `<step>/<component>/<name>`. A tensor stays on its device until the next log point."""
        self._source.record(f"{self._path}/{name}", value)
