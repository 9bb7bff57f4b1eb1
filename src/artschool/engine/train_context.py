"""What components may know about the training that calls them, and where their numbers go."""

from __future__ import annotations

import torch
from torch import Tensor

from artschool.data.seeds import device_generator
from artschool.engine.meters import Meters


class TrainContext:
    """What contexts read from the run, and where they and the losses write their numbers."""

    def __init__(self, device: torch.device, meters: Meters) -> None:
        self.device = device
        self.meters = meters
        self.iteration = 0
        self.training = False
        self.share = 1.0

    @property
    def generator(self) -> torch.Generator:
        """The generator of the device."""
        return device_generator(self.device)

    def record(self, name: str, value: Tensor | float) -> None:
        """Keep a number of the micro-batch that runs; outside training it is dropped."""
        if self.training:
            self.meters.add(name, value.detach() if isinstance(value, Tensor) else value, self.share)
