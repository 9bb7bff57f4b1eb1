"""The state of training that components can read, and the place where they record numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from artschool.config.numbers import log_name
from artschool.data.seeds import device_generator
from artschool.engine.kept_buffers import KeptBuffers
from artschool.engine.meters import Meters
from artschool.engine.out_of_memory import Splitting
from artschool.engine.precision import Precision


class ChangingNumber(NamedTuple):
    """A number that a schedule changes.

    Attributes:
        name: Its name in the log.
        at: Its value at an iteration.
        set: Takes the value of an iteration.
    """

    name: str
    at: Callable[[int], float]
    set: Callable[[float], None]


class TrainContext:
    """The state of training that a component's `Context` reads. It also records numbers for the log.

    Attributes:
        numbers: The numbers that schedules change.
        training: False during evaluations.
        share: The weight of the current micro-batch in the loss: its part of the samples of the whole batch.
        precision: That of the current step. None: the step has no optimizer.
        has_updated: Whether the current iteration has begun to update weights. Buffers may change earlier.
        buffers: The buffers that steps write. They are restored if the update is skipped.
        splitting: Splits steps that run out of memory. None: they raise an error.
    """

    def __init__(self, device: torch.device, meters: Meters) -> None:
        self.device = device
        self.meters = meters
        self.numbers: list[ChangingNumber] = []
        self.training = False
        self.share = 1.0
        self.precision: Precision | None = None
        self.has_updated = False
        self.buffers = KeptBuffers({})
        self.splitting: Splitting | None = None
        self._iteration = 0

    @property
    def iteration(self) -> int:
        """The current iteration, counted from 0. Setting it sets the scheduled numbers to those of the iteration."""
        return self._iteration

    @iteration.setter
    def iteration(self, iteration: int) -> None:
        self._iteration = iteration
        for number in self.numbers:
            number.set(number.at(iteration))

    def schedule(self, path: str, at: Callable[[int], float], set_number: Callable[[float], None]) -> None:
        """From now on, set a number to that of the current iteration.

        Args:
            path: The path of the number in the file.
            at: The value of the number at an iteration.
            set_number: Takes the value.
        """
        self.numbers.append(ChangingNumber(log_name(path), at, set_number))
        set_number(at(self._iteration))

    @property
    def generator(self) -> torch.Generator:
        """The default random generator of the device."""
        return device_generator(self.device)

    def scaled(self, loss: Tensor) -> Tensor:
        """A loss as the current step multiplies it before it is differentiated."""
        return loss if self.precision is None else self.precision.scaled(loss)

    def record(self, name: str, value: Tensor | float) -> None:
        """Record a number of the current micro-batch for the log. Ignored outside training."""
        if self.training:
            self.meters.add(name, value.detach() if isinstance(value, Tensor) else value, self.share)
