"""What rules look at: a proven file, and its networks where they are built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from artschool.config.flow import components_of
from artschool.config.source import Node
from artschool.config.structure import Component, Config, StepConfig
from artschool.config.when import When
from artschool.errors import Fault, Place
from artschool.registry import ComponentRole


@dataclass(frozen=True)
class Term:
    """A loss in a step.

    Attributes:
        holder: The entry of the file, with its weight and gates.
        loss: The same, or a loss inside it.
    """

    step: StepConfig
    holder: Component
    loss: Component

    @property
    def name(self) -> str:
        """What stands after `type:`."""
        return type_of(self.loss)

    @property
    def networks(self) -> list[str]:
        """The networks that the loss calls."""
        return [use.name for use in self.loss.networks]

    def has_role(self, role: ComponentRole) -> bool:
        """Whether the loss declares a role."""
        return has_role(self.loss, role)


@dataclass(frozen=True)
class Subject:
    """A file to be judged.

    Attributes:
        networks: The built networks by name, whose parameters may be fake: only their structure is looked at.
    """

    config: Config
    networks: Mapping[str, nn.Module] | None = None

    @property
    def iterations(self) -> int | None:
        """How many the run has; None where the file counts epochs, or the command line cuts it short for a trial."""
        written = self.config.tree.at(("train", "iterations"))
        return self.config.sections.train.iterations if written.place.line else None

    @property
    def during(self) -> When:
        """The iterations of the run."""
        last = self.iterations - 1 if self.iterations else None
        return When(self.config.sections.train.start_iteration, last)

    @property
    def terms(self) -> Iterator[Term]:
        """All losses, and those inside them."""
        for step in self.config.steps.values():
            for holder in step.losses.values():
                yield from (Term(step, holder, loss) for loss in [holder, *_inside(holder)])

    def trainers(self, network: str) -> list[StepConfig]:
        """The steps that train a network."""
        return [step for step in self.config.steps.values() if network in step.section.trained]

    def is_trained(self, network: str) -> bool:
        """Whether any parameter of a network ever moves."""
        entry = self.config.networks[network].entry if network in self.config.networks else None
        return bool(self.trainers(network)) and getattr(entry, "frozen", False) is not True

    def trains_when(self, term: Term) -> When:
        """The iterations at which a loss moves something."""
        return term.step.moves_when & term.holder.when & self.during

    def writers(self, key: str) -> list[Component]:
        """The injectors of steps that write a key."""
        runs = (c for step in self.config.steps.values() for c, _ in components_of(step))
        return [c for c in runs if any(use.name == key for use in c.writes)]

    def critics(self, term: Term) -> list[str]:
        """The critics of an adversarial loss: the networks that it calls, or else those whose outputs it reads."""
        if term.networks or term.loss is not term.holder:
            return term.networks
        writers = [writer for use in term.loss.reads for writer in self.writers(use.name)]
        return list(dict.fromkeys(use.name for writer in writers for use in writer.networks))

    @property
    def critic_terms(self) -> list[Term]:
        """The losses by which a step teaches a critic."""
        return [term for term in self.terms if self._side(term) is ComponentRole.CRITIC_LOSS and self._trains(term)]

    @property
    def generator_terms(self) -> list[Term]:
        """The losses by which a generator learns from a critic."""
        return [term for term in self.terms if self._side(term) is ComponentRole.GENERATOR_LOSS]

    def _trains(self, term: Term) -> bool:
        return any(critic in term.step.section.trained for critic in self.critics(term))

    def _side(self, term: Term) -> ComponentRole | None:
        """Which side of an adversarial game a loss is for."""
        critic, generator = ComponentRole.CRITIC_LOSS, ComponentRole.GENERATOR_LOSS
        if term.has_role(critic) and term.has_role(generator):
            chosen = option(term.loss, "role")
            is_critic = chosen == "critic" if chosen is not None else self._trains(term)
            return critic if is_critic else generator
        return next((role for role in (critic, generator) if term.has_role(role)), None)

    def module(self, network: str) -> nn.Module | None:
        """A built network."""
        return self.networks.get(network) if self.networks is not None else None


def type_of(component: Component) -> str:
    """What stands after `type:`."""
    return component.registered.name if component.registered is not None else ""


def option(component: Component, name: str) -> Any:
    """An option of the component itself, None where it has no such option."""
    return getattr(component.entry, f"option_{name}", None)


def place_of(node: Node, *path: str) -> Place:
    """Where something is written below a node, or what would hold it where it is left to its default."""
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
    """A fault about a parameter of a component, or all of it where that is not written."""
    written = component.node.get(parameter) is not None
    path = f"{component.path}.{parameter}" if written else component.path
    return Fault(place_of(component.node, parameter), path, message, hint)


def _inside(component: Component) -> Iterator[Component]:
    for inner in component.inner:
        yield inner
        yield from _inside(inner)
