"""Turns the tree into typed sections and components, and collects every fault. Builds nothing."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from artschool.config import sections
from artschool.config.average_sections import Average
from artschool.config.component import Component, ScheduledNumber, Use, names_in
from artschool.config.component_reader import ComponentReader, mappings
from artschool.config.messages import validate
from artschool.config.misplaced import where_it_belongs
from artschool.config.report_sections import EvaluationSection
from artschool.config.source import Node
from artschool.config.when import When
from artschool.faults import Fault
from artschool.registry.schedule import Schedule
from artschool.registry.units import Units

__all__ = ["Component", "Config", "EvaluationConfig", "StepConfig", "Use", "names_in", "structure"]


@dataclass
class StepConfig:
    """A step of the file.

    Attributes:
        optimizer: The optimizer that updates its networks, which may be that of another step.
        schedule: The phases of its own schedule.
        shares: The step whose optimizer it uses, with the schedule. None: it has its own.
    """

    name: str
    section: sections.StepSection
    node: Node
    optimizer: Component | None
    schedule: list[Component]
    injectors: dict[str, Component]
    losses: dict[str, Component]
    callbacks: dict[str, Component]
    shares: StepConfig | None = None

    @property
    def of(self) -> Node | None:
        """Where its optimizer names the step whose optimizer it is; None for a step with its own."""
        return (self.node.get("optimizer") or self.node).get("of")

    @property
    def rates(self) -> Schedule:
        """The schedule of its learning rates."""
        return Schedule([phase.phase for phase in (self.shares or self).schedule if phase.entry is not None])

    @property
    def moves_when(self) -> When:
        """The iterations at which its optimizer updates weights. The gate of a network may close some of them."""
        own = self.section.trains_when
        return own if self.optimizer is None else own & self.optimizer.when

    def injectors_when(self, *, training: bool) -> list[Component]:
        """The injectors that run before the losses: when the step trains, or when an evaluation runs the step."""
        hidden, late = "evaluation" if training else "training", self._readers_of_losses
        return [
            c for name, c in self.injectors.items() if name not in late and getattr(c.entry, "only", None) != hidden
        ]

    def late_injectors_when(self, *, training: bool) -> list[Component]:
        """The injectors that run after the losses: those that read the value of a loss.

        An evaluation weighs no loss, so it runs only those with `only: evaluation`.
        """
        late = [self.injectors[name] for name in self._readers_of_losses]
        return [c for c in late if (getattr(c.entry, "only", None) == "evaluation") is not training]

    def parts_when(self, *, training: bool) -> list[Component]:
        """Its injectors and losses in the order in which they run, as `injectors_when`."""
        late = self.late_injectors_when(training=training)
        return [*self.injectors_when(training=training), *self.losses.values(), *late]

    @property
    def _readers_of_losses(self) -> list[str]:
        """The names of the injectors that read the value of a loss, directly or through each other."""
        keys = {use.name for loss in self.losses.values() for use in loss.writes}
        found: list[str] = []
        for name, injector in self.injectors.items() if keys else ():
            if any(use.name in keys for use in injector.reads):
                found.append(name)
                keys |= {use.name for use in injector.writes}
        return found


@dataclass
class EvaluationConfig:
    """An evaluation of the file."""

    name: str
    section: EvaluationSection
    node: Node
    injectors: dict[str, Component]
    metrics: dict[str, Component]


@dataclass
class Config:
    """A file as typed sections and components, from which `build` makes a run.

    Attributes:
        numbers: The numbers that schedules change, learning rates excepted.
        tree: The composed file, as written.
        units: What an iteration is in the units of the file. Everywhere but in `tree`, iterations are numbers.
    """

    tree: Node
    sections: sections.FileSections
    data: dict[str, Component]
    networks: dict[str, Component]
    steps: dict[str, StepConfig]
    evaluations: dict[str, EvaluationConfig]
    loggers: dict[str, Component]
    units: Units = field(default_factory=Units)
    warnings: list[Fault] = field(default_factory=list)
    numbers: list[ScheduledNumber] = field(default_factory=list)

    def averages_in(self, evaluation: EvaluationConfig) -> dict[str, str]:
        """The moving averages that an evaluation calls instead of networks: `gen` -> `gen.ema`."""
        chosen = evaluation.section.ema
        names = [chosen] if isinstance(chosen, str) else chosen if isinstance(chosen, list) else None
        # The first average of a network replaces those of later entries.
        averages = reversed(self.averages.values()) if chosen else ()
        return {average.of: average.name for average in averages if names is None or average.name in names}

    @property
    def length(self) -> int | None:
        """The number of iterations of the run; None if the length of an epoch is not known."""
        return self.sections.train.length(self.units.per_epoch or 0) or None

    @property
    def averages(self) -> dict[str, Average]:
        """The moving averages by the names of their entries."""
        return self.sections.ema.averages if self.sections.ema is not None else {}

    def averages_of(self, network: str) -> list[Average]:
        """The moving averages of a network."""
        return [average for average in self.averages.values() if average.of == network]


def structure(tree: Node, units: Units | None = None) -> tuple[Config | None, list[Fault]]:
    """Type a composed tree.

    Args:
        tree: The composed tree.
        units: What an iteration is in epochs and samples, into which numbers with a unit are converted. None: numbers
            have no units.

    Returns:
        The config and every fault. In spite of faults there is a config where steps, networks and data are sound, so
        that the flow of keys can be checked as well; otherwise None.
    """
    reader = ComponentReader(units)
    options = sections.FileSections.model_fields
    file, faults = validate(sections.FileSections, tree, "", options, "A file", units=units, home=where_it_belongs)
    data = reader.components("datasets", tree, "data")
    networks = reader.components("networks", tree, "networks")
    steps = {name: _step_parts(reader, name, node) for name, node in mappings(tree, "steps")}
    evaluations = {name: _evaluation_parts(reader, name, node) for name, node in mappings(tree, "evaluate")}
    loggers = reader.components("loggers", tree.get("log") or tree, "log.loggers")
    if file is None:
        file = _without_faulty_parts(tree, faults, units)
    if file is None:
        return None, faults + reader.faults
    reader.numbers_in(file, tree, "")
    config = Config(
        tree=tree,
        sections=file,
        data=data,
        networks=networks,
        steps={name: StepConfig(name, file.steps[name], *parts) for name, parts in steps.items() if name in file.steps},
        evaluations={
            name: EvaluationConfig(name, file.evaluate[name], *parts)
            for name, parts in evaluations.items()
            if name in file.evaluate
        },
        loggers=loggers,
        numbers=reader.numbers,
        units=units or Units(),
    )
    _share_optimizers(config.steps)
    return config, faults + reader.faults


def _step_parts(
    reader: ComponentReader, name: str, node: Node
) -> tuple[Node, Component | None, list[Component], dict[str, Component], dict[str, Component], dict[str, Component]]:
    path = f"steps.{name}"
    optimizer = node.get("optimizer")
    has_optimizer = optimizer is not None and isinstance(optimizer.value, dict) and "of" not in optimizer.value
    return (
        node,
        reader.component("optimizers", optimizer, f"{path}.optimizer") if has_optimizer and optimizer else None,
        reader.phases(node.get("schedule"), f"{path}.schedule"),
        reader.components("injectors", node, f"{path}.injectors"),
        reader.components("losses", node, f"{path}.losses"),
        reader.components("callbacks", node, f"{path}.callbacks"),
    )


def _share_optimizers(steps: Mapping[str, StepConfig]) -> None:
    """Give each step that names the optimizer of another step that optimizer."""
    for step in steps.values():
        owner = steps.get(str(step.of.value)) if step.of is not None else None
        if owner is not None and owner.of is None:
            step.shares, step.optimizer = owner, owner.optimizer


def _evaluation_parts(
    reader: ComponentReader, name: str, node: Node
) -> tuple[Node, dict[str, Component], dict[str, Component]]:
    path = f"evaluate.{name}"
    return (
        node,
        reader.components("injectors", node, f"{path}.injectors"),
        reader.components("metrics", node, f"{path}.metrics"),
    )


def _without_faulty_parts(tree: Node, faults: Sequence[Fault], units: Units | None) -> sections.FileSections | None:
    """The sections with defaults in place of faulty ones; None where steps, data or networks are faulty."""
    faulty = {fault.path.split(".")[0] for fault in faults}
    if faulty & {"steps", "data", "networks", ""}:
        return None
    if faulty - (sections.FileSections.model_fields.keys() - {"evaluate"}):
        # The metric of the best checkpoint may belong to an evaluation under a misspelt name.
        faulty.add("checkpoint")
    value = {key: node for key, node in typing.cast("dict[str, Node]", tree.value).items() if key not in faulty}
    value.setdefault("name", Node("unnamed", tree.place, None))
    train = Node({"iterations": Node(1 << 40, tree.place, None)}, tree.place, None)
    value.setdefault("train", train)
    return validate(sections.FileSections, replace(tree, value=value), "", (), "", units=units)[0]
