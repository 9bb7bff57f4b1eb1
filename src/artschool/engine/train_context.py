"""The state of training that components can read, and the place where they record numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from artschool.data.seeds import device_generator
from artschool.engine.meters import Meters
from artschool.engine.precision import Precision


class TrainContext:
    """The state of training that a component's `Context` reads. It also records numbers for the log.

    Attributes:
        iteration: The current iteration, counted from 0.
        training: False during evaluations.
        share: The weight of the current micro-batch in the loss: its part of the samples of the whole batch.
        precision: That of the current step. None: the step has no optimizer.
    """

    def __init__(self, device: torch.device, meters: Meters) -> None:
        self.device = device
        self.meters = meters
        self.iteration = 0
        self.training = False
        self.share = 1.0
        self.precision: Precision | None = None

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
