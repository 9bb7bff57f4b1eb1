"""What rules check: a checked file, and its networks if they are built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from artschool.config.source import Node
from artschool.config.step_parts import components_of
from artschool.config.structure import Component, Config, StepConfig
from artschool.config.when import When
from artschool.faults import Fault, Place
from artschool.registry import ComponentRole


@dataclass(frozen=True)
class StepLoss:
    """A loss of a step, or a loss nested in one.

    Attributes:
        outer: The loss of the step, which has the weight and the gates.
        component: The same loss, or one nested in it.
    """

    step: StepConfig
    outer: Component
    component: Component

    @property
    def name(self) -> str:
        """The `type` of the loss."""
        return type_name(self.component)

    @property
    def networks(self) -> list[str]:
        """The networks that the loss calls."""
        return [use.name for use in self.component.networks]

    def has_role(self, role: ComponentRole) -> bool:
        """Whether the loss declares a role."""
        return has_role(self.component, role)


@dataclass(frozen=True)
class Subject:
    """A file for rules to check.

    Attributes:
        networks: The built networks by name. Rules look only at their structure, so parameters need no values.
        num_processes: The number of processes that train together.
    """

    config: Config
    networks: Mapping[str, nn.Module] | None = None
    num_processes: int = 1

    @property
    def iterations(self) -> int | None:
        """The number of iterations; None if it is unknown, or an override sets it for a trial."""
        return self.config.length if self.config.tree.at(self.length_path).place.line else None

    @property
    def length_path(self) -> tuple[str, str]:
        """The path of the option that sets the number of iterations."""
        return "train", "epochs" if self.config.sections.train.iterations is None else "iterations"

    @property
    def during(self) -> When:
        """The iterations of the run."""
        last = self.iterations - 1 if self.iterations else None
        return When(self.config.sections.train.start_iteration, last)

    @property
    def losses(self) -> Iterator[StepLoss]:
        """All losses of steps, and those nested in them."""
        for step in self.config.steps.values():
            for outer in step.losses.values():
                yield from (StepLoss(step, outer, component) for component in [outer, *_nested(outer)])

    def trainers(self, network: str) -> list[StepConfig]:
        """The steps that train a network."""
        return [step for step in self.config.steps.values() if network in step.section.trained]

    def is_trained(self, network: str) -> bool:
        """Whether a step trains a network and the file does not freeze it."""
        entry = self.config.networks[network].entry if network in self.config.networks else None
        return bool(self.trainers(network)) and getattr(entry, "frozen", False) is not True

    def trains_when(self, loss: StepLoss) -> When:
        """The iterations at which a loss changes parameters."""
        return loss.step.moves_when & loss.outer.when & self.during

    def writers(self, key: str) -> list[Component]:
        """The injectors of all steps that write a key."""
        runs = (c for step in self.config.steps.values() for c, _ in components_of(step))
        return [c for c in runs if any(use.name == key for use in c.writes)]

    def critics(self, loss: StepLoss) -> list[str]:
        """The critics of an adversarial loss: the networks that it calls, or else those whose outputs it reads."""
        if loss.networks or loss.component is not loss.outer:
            return loss.networks
        writers = [writer for use in loss.component.reads for writer in self.writers(use.name)]
        return list(dict.fromkeys(use.name for writer in writers for use in writer.networks))

    @property
    def critic_losses(self) -> list[StepLoss]:
        """The losses by which a step teaches a critic."""
        return [loss for loss in self.losses if self._side(loss) is ComponentRole.CRITIC_LOSS and self._trains(loss)]

    @property
    def generator_losses(self) -> list[StepLoss]:
        """The losses by which a generator learns from a critic."""
        return [loss for loss in self.losses if self._side(loss) is ComponentRole.GENERATOR_LOSS]

    def _trains(self, loss: StepLoss) -> bool:
        return any(critic in loss.step.section.trained for critic in self.critics(loss))

    def _side(self, loss: StepLoss) -> ComponentRole | None:
        """Which side of an adversarial game a loss is for."""
        critic, generator = ComponentRole.CRITIC_LOSS, ComponentRole.GENERATOR_LOSS
        if loss.has_role(critic) and loss.has_role(generator):
            chosen = option(loss.component, "role")
            is_critic = chosen == "critic" if chosen is not None else self._trains(loss)
            return critic if is_critic else generator
        return next((role for role in (critic, generator) if loss.has_role(role)), None)

    def module(self, network: str) -> nn.Module | None:
        """A built network; None if it is not built."""
        return self.networks.get(network) if self.networks is not None else None


def type_name(component: Component) -> str:
    """The `type` of a component."""
    return component.registered.name if component.registered is not None else ""


def option(component: Component, name: str) -> Any:
    """The value of an option, without that of nested components; None if the component has no such option."""
    return getattr(component.entry, f"option_{name}", None)


def place_of(node: Node, *path: str) -> Place:
    """The location of a value below a node, or of the innermost mapping that would hold it if it is not written."""
    for part in path:
        child = node.get(part)
        if child is None:
            return node.start
        node = child
    return node.place if path else node.start


def has_role(component: Component | None, role: ComponentRole) -> bool:
    """Whether a component declares a role."""
    return component is not None and component.registered is not None and role in component.registered.roles


def fault(component: Component, parameter: str, message: str, hint: str = "") -> Fault:
    """A fault at a parameter of a component, or at the component if the parameter is not written."""
    written = component.node.get(parameter) is not None
    path = f"{component.path}.{parameter}" if written else component.path
    return Fault(place_of(component.node, parameter), path, message, hint)


def _nested(component: Component) -> Iterator[Component]:
    for inner in component.inner:
        yield inner
        yield from _nested(inner)
