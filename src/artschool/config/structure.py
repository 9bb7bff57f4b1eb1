"""Turns the tree into typed sections and components, and collects every fault. Builds nothing."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from artschool.config import sections
from artschool.config.component import Component, ComponentReader, Use, mappings, names_in
from artschool.config.messages import validate
from artschool.config.misplaced import where_it_belongs
from artschool.config.source import Node
from artschool.config.when import When
from artschool.errors import Fault

__all__ = ["Component", "Config", "EvaluationConfig", "StepConfig", "Use", "names_in", "structure"]


@dataclass
class StepConfig:
    """A step of the file."""

    name: str
    section: sections.StepSection
    node: Node
    optimizer: Component | None
    schedule: list[Component]
    injectors: dict[str, Component]
    losses: dict[str, Component]
    callbacks: dict[str, Component]

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
    section: sections.EvaluationSection
    node: Node
    injectors: dict[str, Component]
    metrics: dict[str, Component]


@dataclass
class Config:
    """A file as typed sections and components, from which `build` makes a run."""

    tree: Node
    sections: sections.FileSections
    data: dict[str, Component]
    networks: dict[str, Component]
    steps: dict[str, StepConfig]
    evaluations: dict[str, EvaluationConfig]
    loggers: dict[str, Component]
    warnings: list[Fault] = field(default_factory=list)

    def averages_in(self, evaluation: EvaluationConfig) -> dict[str, str]:
        """The moving averages that an evaluation calls instead of networks: `gen` -> `gen.ema`."""
        ema = self.sections.ema
        return {name: f"{name}.ema" for name in ema.decays} if ema is not None and evaluation.section.ema else {}


def structure(tree: Node) -> tuple[Config | None, list[Fault]]:
    """Type a composed tree.

    Returns:
        The config and every fault. In spite of faults there is a config where steps, networks and data are sound, so
        that the flow of keys can be checked as well; otherwise None.
    """
    reader = ComponentReader()
    file, faults = validate(
        sections.FileSections, tree, "", sections.FileSections.model_fields, "A file", home=where_it_belongs
    )
    data = reader.components("datasets", tree, "data")
    networks = reader.components("networks", tree, "networks")
    steps = {name: _step_parts(reader, name, node) for name, node in mappings(tree, "steps")}
    evaluations = {name: _evaluation_parts(reader, name, node) for name, node in mappings(tree, "evaluate")}
    loggers = reader.components("loggers", tree.get("log") or tree, "log.loggers")
    if file is None:
        file = _without_faulty_parts(tree, faults)
    if file is None:
        return None, faults + reader.faults
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
    )
    return config, faults + reader.faults


def _step_parts(
    reader: ComponentReader, name: str, node: Node
) -> tuple[Node, Component | None, list[Component], dict[str, Component], dict[str, Component], dict[str, Component]]:
    path = f"steps.{name}"
    optimizer = node.get("optimizer")
    has_optimizer = optimizer is not None and isinstance(optimizer.value, dict)
    schedule = node.get("schedule")
    phases = [] if schedule is None else schedule.value if isinstance(schedule.value, list) else [schedule]
    many = schedule is not None and isinstance(schedule.value, list)
    return (
        node,
        reader.component("optimizers", optimizer, f"{path}.optimizer") if has_optimizer and optimizer else None,
        [
            reader.component("schedules", phase, f"{path}.schedule.{i}" if many else f"{path}.schedule")
            for i, phase in enumerate(phases)
            if isinstance(phase.value, dict)
        ],
        reader.components("injectors", node, f"{path}.injectors"),
        reader.components("losses", node, f"{path}.losses"),
        reader.components("callbacks", node, f"{path}.callbacks"),
    )


def _evaluation_parts(
    reader: ComponentReader, name: str, node: Node
) -> tuple[Node, dict[str, Component], dict[str, Component]]:
    path = f"evaluate.{name}"
    return (
        node,
        reader.components("injectors", node, f"{path}.injectors"),
        reader.components("metrics", node, f"{path}.metrics"),
    )


def _without_faulty_parts(tree: Node, faults: Sequence[Fault]) -> sections.FileSections | None:
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
    return validate(sections.FileSections, replace(tree, value=value), "", (), "")[0]
