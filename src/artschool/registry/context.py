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

    @property
    def generator(self) -> torch.Generator:
        """The random generator of the device, seeded by iteration."""

    def record(self, name: str, value: Tensor | float) -> None:
        """Record a named number for the log."""


class Context:
    """Read-only facts about the run. A component receives it in a parameter annotated `Context`.

    `iteration` counts from 0. `training` is False during evaluations. `device` holds the tensors of the run.
    `generator` is the random generator of `device`, seeded by (seed, iteration, rank).
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

    def log(self, name: str, value: Tensor | float) -> None:
        """Record a scalar under `<step>/<component>/<name>`. A tensor stays on its device until the next log point."""
        self._source.record(f"{self._path}/{name}", value)
