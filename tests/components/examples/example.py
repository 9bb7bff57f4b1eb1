"""A component as it stands in a file, with values for its keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from artschool.build.bind import Binder
from artschool.config.source import read_text
from artschool.config.structure import Component, structure
from artschool.engine.meters import Meters
from artschool.engine.train_context import TrainContext
from artschool.errors import ConfigError
from artschool.steps.call import Call

FILE = """
name: example
data: {train: {type: photos}}
networks: {unused: {type: edsr}}
train: {iterations: 1}
steps:
  step:
    trains: unused
    optimizer: none
    %s: {example: %s}
"""


@dataclass(frozen=True)
class Example:
    """One injector or loss.

    Attributes:
        entry: What stands in the file, such as `{type: grey, in: x, out: y}`.
        state: Values by key for so many samples, float32 where they are floating, and small: at most a few hundred
            numbers, since each costs two calls in the comparison with finite differences.
        networks: The networks that the entry names, each made anew, with smooth activations.
        differentiable: The keys whose gradient is compared with finite differences; None for all that are floating.
        iteration: The iteration it runs at.
        exempt: Proofs that do not hold for it, and the reason: `gradient`, `bf16`, `meta`, `batch_of_one`,
            `parts`.
    """

    kind: Literal["injectors", "losses"]
    entry: str
    state: Callable[[int], dict[str, Any]]
    networks: Mapping[str, Callable[[], nn.Module]] = field(default_factory=dict)
    differentiable: tuple[str, ...] | None = None
    iteration: int = 3
    exempt: Mapping[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """The name of the component."""
        return str(read_text(self.entry, "example.yml").plain()["type"])

    @property
    def component(self) -> Component:
        """The entry as the file has it."""
        config, faults = structure(read_text(FILE % (self.kind, self.entry), "example.yml"))
        if config is None or faults:
            raise ConfigError(faults)
        step = config.steps["step"]
        return (step.injectors if self.kind == "injectors" else step.losses)["example"]

    def bind(self, device: torch.device, dtype: torch.dtype = torch.float32) -> Call:
        """The call of a plan, with networks and modules on a device."""
        component = self.component
        torch.manual_seed(0)
        networks = {name: make().to(device, dtype) for name, make in self.networks.items()}
        for network in networks.values():
            network.requires_grad_(False)
        context = TrainContext(device, Meters())
        context.iteration, context.training = self.iteration, True
        binder = Binder(networks, context)
        if self.kind == "injectors":
            call: Call = binder.injector(component)
        else:
            call = binder.loss(component, "step", "example")
        for module in binder.modules.values():
            module.to(device, dtype)
        return call
