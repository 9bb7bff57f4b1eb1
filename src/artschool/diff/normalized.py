"""A file in normal form, which does not depend on notation."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from artschool.config.average_sections import Average
from artschool.config.plugin_imports import imported_files
from artschool.config.plugins import file_of, is_path
from artschool.config.source import KeyPath, Node, exists
from artschool.config.structure import Component, Config, EvaluationConfig, StepConfig
from artschool.paths import is_file
from artschool.registry.entries import EveryEntry
from artschool.registry.schedule import Schedule

ENTRIES = {"data", "networks", "steps", "evaluate"}


@dataclass
class NormalizedConfig:
    """A checked file with every default filled in, and one form for each option that has several.

    Attributes:
        value: Plain values by the paths of the file. `trains` is always a list, a schedule of one phase never is.
        tree: The file as written.
        nodes: The node of each component, by its path in `value`.
    """

    value: dict[str, Any]
    tree: Node
    nodes: dict[KeyPath, Node] = field(default_factory=dict)

    def node_at(self, path: KeyPath) -> Node | None:
        """The node that defines the value at a path, None for a default."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.nodes:
                return exists(self.nodes[path[:end]], path[end:])
        return exists(self.tree, path)


def normalize(config: Config) -> NormalizedConfig:
    """Convert a checked file to normal form."""
    normalizer = _Normalizer()
    value = _dump(config.sections, without=ENTRIES)
    value["data"] = normalizer.components(config.data, ("data",))
    value["networks"] = normalizer.components(config.networks, ("networks",))
    value["steps"] = {name: normalizer.step(step) for name, step in config.steps.items()}
    value["evaluate"] = {name: normalizer.evaluation(evaluation) for name, evaluation in config.evaluations.items()}
    value["log"]["loggers"] = normalizer.components(config.loggers, ("log", "loggers"))
    value["plugins"] = _plugin_code(config)
    value["ema"] = normalizer.averages(config)
    return NormalizedConfig(value, config.tree, normalizer.nodes)


class _Normalizer:
    def __init__(self) -> None:
        self.nodes: dict[KeyPath, Node] = {}

    def components(self, parts: Mapping[str, Component], path: KeyPath) -> dict[str, Any]:
        """Components by name."""
        return {name: self.component(part, (*path, name)) for name, part in parts.items()}

    def component(self, component: Component, path: KeyPath) -> dict[str, Any]:
        """The options of a component, with the components inside it."""
        self.nodes[path] = component.node
        assert component.entry is not None  # The file has been checked.
        value = _dump(component.entry)
        for name, inner in component.nested.items():
            value[name] = (
                self.component_list(inner, (*path, name))
                if isinstance(inner, list)
                else self.component(inner, (*path, name))
            )
        return value

    def component_list(self, parts: Sequence[Component], path: KeyPath) -> list[Any]:
        """Components in a list."""
        return [self.component(part, (*path, str(index))) for index, part in enumerate(parts)]

    def averages(self, config: Config) -> dict[str, Any] | None:
        """The averages with their defaults, in any notation."""
        for entry in config.averages:
            node = exists(config.tree, ("ema", "networks", entry)) or exists(config.tree, ("ema", "decay"))
            if node is not None:
                self.nodes["ema", "networks", entry] = node
        found = {entry: _plain_average(average) for entry, average in config.averages.items()}
        return {"networks": found} if config.sections.ema is not None else None

    def step(self, step: StepConfig) -> dict[str, Any]:
        """The options and components of a step."""
        path = ("steps", step.name)
        value = _dump(step.section)
        value["trains"] = step.section.trained
        if step.optimizer is not None and step.shares is None:
            value["optimizer"] = self.component(step.optimizer, (*path, "optimizer"))
        if len(step.schedule) == 1:
            value["schedule"] = self.component(step.schedule[0], (*path, "schedule"))
        else:
            value["schedule"] = self.component_list(step.schedule, (*path, "schedule"))
        for kind in ("injectors", "losses", "callbacks"):
            value[kind] = self.components(getattr(step, kind), (*path, kind))
        return value

    def evaluation(self, evaluation: EvaluationConfig) -> dict[str, Any]:
        """The options and components of an evaluation."""
        path = ("evaluate", evaluation.name)
        parts = {kind: self.components(getattr(evaluation, kind), (*path, kind)) for kind in ("injectors", "metrics")}
        return {**_dump(evaluation.section), **parts}


def _plain_average(average: Average) -> Any:
    """The decay of an average, or a mapping if other options differ from their defaults."""
    decay = average.decay.written if isinstance(average.decay, Schedule) else average.decay
    plain = Average(average.entry, average.entry, average.decay)
    every = _dump(average.every) if isinstance(average.every, EveryEntry) else average.every
    return decay if average == plain else {**vars(average), "decay": decay, "every": every}


def _plugin_code(config: Config) -> dict[str, str]:
    """The plugins and the modules that they import, with a hash of the code of each.

    The same name may refer to different code.
    """
    listed = config.tree.get("plugins")
    nodes = {str(node.value): node for node in (listed.children() if listed is not None else ())}
    files = {
        name: _files_below(file_of(name, node.place)) if is_path(name) else _files_of_module(name)
        for name, node in nodes.items()
    }
    imported = imported_files({file for each in files.values() for file in each})
    return {
        **{name: _hash(each) for name, each in files.items()},
        **{name: _hash([file]) for name, file in imported.items() if name not in files},
    }


def _hash(files: Sequence[Path]) -> str:
    text = b"".join(file.read_bytes() for file in files if is_file(file))
    return f"code {hashlib.sha256(text).hexdigest()[:8]}" if text else "module"


def _files_below(path: Path) -> list[Path]:
    """A file, or the imported files of a checkout."""
    if path.suffix == ".py":
        return [path]
    files = (getattr(module, "__file__", None) for module in [*sys.modules.values()])
    return sorted(Path(file) for file in files if file is not None and Path(file).is_relative_to(path))


def _files_of_module(name: str) -> list[Path]:
    """The files of a module and of its submodules, as far as they are imported."""
    modules = [module for known, module in [*sys.modules.items()] if f"{known}.".startswith(f"{name}.")]
    return sorted(Path(file) for module in modules if (file := getattr(module, "__file__", None)) is not None)


def _dump(model: BaseModel, without: set[str] | None = None) -> dict[str, Any]:
    value = model.model_dump(by_alias=True, exclude=without, mode="json", fallback=str)
    return {str(name): part for name, part in value.items()}
