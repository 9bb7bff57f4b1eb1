"""What a file means, as one plain value: nothing of how it is written is left in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from artschool.config.plugins import file_of
from artschool.config.source import KeyPath, Node, exists
from artschool.config.structure import Component, Config, EvaluationConfig, StepConfig

ENTRIES = {"data", "networks", "steps", "evaluate"}


@dataclass
class NormalizedConfig:
    """A checked file with every default filled in, and one form for what may be written in several.

    Attributes:
        value: Plain, by the paths of the file; what a step trains is always a list, and one phase of a schedule none.
        nodes: What is written of each component, by its path in `value`.
    """

    value: dict[str, Any]
    tree: Node
    nodes: dict[KeyPath, Node] = field(default_factory=dict)

    def written(self, path: KeyPath) -> Node | None:
        """What is written for a value, None where it is a default."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.nodes:
                return exists(self.nodes[path[:end]], path[end:])
        return exists(self.tree, path)


def normalize(config: Config) -> NormalizedConfig:
    """What a checked file means."""
    reader = _Reader()
    value = _dumped(config.sections, without=ENTRIES)
    value["data"] = reader.components(config.data, ("data",))
    value["networks"] = reader.components(config.networks, ("networks",))
    value["steps"] = {name: reader.step(step) for name, step in config.steps.items()}
    value["evaluate"] = {name: reader.evaluation(each) for name, each in config.evaluations.items()}
    value["log"]["loggers"] = reader.components(config.loggers, ("log", "loggers"))
    value["plugins"] = _code(config)
    value["ema"] = reader.averages(config)
    return NormalizedConfig(value, config.tree, reader.nodes)


class _Reader:
    def __init__(self) -> None:
        self.nodes: dict[KeyPath, Node] = {}

    def components(self, parts: Mapping[str, Component], path: KeyPath) -> dict[str, Any]:
        """Components by name."""
        return {name: self.component(each, (*path, name)) for name, each in parts.items()}

    def component(self, component: Component, path: KeyPath) -> dict[str, Any]:
        """One component: its options, those inside it in place of their entries."""
        self.nodes[path] = component.node
        assert component.entry is not None  # The file has been checked.
        value = _dumped(component.entry)
        for name, inner in component.nested.items():
            value[name] = (
                self.several(inner, (*path, name)) if isinstance(inner, list) else self.component(inner, (*path, name))
            )
        return value

    def several(self, parts: Sequence[Component], path: KeyPath) -> list[Any]:
        """Components in a list."""
        return [self.component(each, (*path, str(index))) for index, each in enumerate(parts)]

    def averages(self, config: Config) -> dict[str, Any] | None:
        """The decay of each network that is averaged, wherever it is written."""
        if config.sections.ema is None:
            return None
        for name in config.sections.ema.decays:
            node = exists(config.tree, ("ema", "networks", name)) or exists(config.tree, ("ema", "decay"))
            if node is not None:
                self.nodes["ema", "networks", name] = node
        return {"networks": config.sections.ema.decays}

    def step(self, step: StepConfig) -> dict[str, Any]:
        """A step with its parts."""
        path = ("steps", step.name)
        value = _dumped(step.section)
        value["trains"] = step.section.trained
        if step.optimizer is not None:
            value["optimizer"] = self.component(step.optimizer, (*path, "optimizer"))
        if len(step.schedule) == 1:
            value["schedule"] = self.component(step.schedule[0], (*path, "schedule"))
        else:
            value["schedule"] = self.several(step.schedule, (*path, "schedule"))
        for kind in ("injectors", "losses", "callbacks"):
            value[kind] = self.components(getattr(step, kind), (*path, kind))
        return value

    def evaluation(self, evaluation: EvaluationConfig) -> dict[str, Any]:
        """An evaluation with its parts."""
        path = ("evaluate", evaluation.name)
        parts = {kind: self.components(getattr(evaluation, kind), (*path, kind)) for kind in ("injectors", "metrics")}
        return {**_dumped(evaluation.section), **parts}


def _code(config: Config) -> dict[str, str]:
    """The plugins, with a hash of those that are files: the same name may stand for other code."""
    listed = config.tree.get("plugins")
    code = {}
    for node in listed.children() if listed is not None else ():
        name = str(node.value)
        file = file_of(name, node.place)
        is_file = name.endswith(".py") and file.is_file()
        code[name] = f"code {hashlib.sha256(file.read_bytes()).hexdigest()[:8]}" if is_file else "module"
    return code


def _dumped(model: BaseModel, without: set[str] | None = None) -> dict[str, Any]:
    value = model.model_dump(by_alias=True, exclude=without, mode="json", fallback=str)
    return {str(name): part for name, part in value.items()}
