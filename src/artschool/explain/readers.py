"""What reads the value at a path of a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from artschool.config.component import names_in
from artschool.config.options import Option
from artschool.config.source import Node
from artschool.config.structure import Component, Config
from artschool.config.when import ALWAYS, When
from artschool.explain.rows import Usage, UsageGroup, UsageKind
from artschool.explain.uses import (
    all_components,
    component_usages,
    data_usages,
    evaluation_usages,
    key_usages,
    network_usages,
    step_usages,
)
from artschool.registry.signature import Role

SECTION_READERS = {
    "name": "the run, which names its folder below `runs`",
    "seed": "all random numbers: initial weights, data, iterations",
    "plugins": "the check of the file, which imports them first",
    "runs": "the run, which creates its folder there",
    "base": "the reader of the file, which merges it first",
    "train": "the training loop",
    "ema": "the moving averages of the networks",
    "log": "the training loop, which writes logs",
    "checkpoint": "the training loop, which saves checkpoints",
}
"""What reads each section without named entries."""
NAMED_SECTIONS = {"data": "data set", "networks": "network", "steps": "step", "evaluate": "evaluation"}
"""Sections with named entries, and what an entry is."""


def reader_usages(
    config: Config, path: Sequence[str], node: Node | None, option: Option | None
) -> Sequence[Usage | UsageGroup]:
    """The readers of the value at a path, or the usages of the keys, networks, steps and data sets that it names."""
    if len(path) == 2 and path[0] in NAMED_SECTIONS and path[1] in _entries(config, path[0]):
        return _of_section(config, *path)
    components = {component.path: (component, when) for component, when in all_components(config)}
    where = ".".join(path)
    if where in components:
        return component_usages(config, *components[where])
    groups = [group for name in _names(path, node, option) for group in _named_group(config, path, name, option)]
    if groups:
        return groups
    holders = [name for name in components if where.startswith(f"{name}.")]
    if holders:
        return [_holder(*components[max(holders, key=len)]), *_scheduled(config, path)]
    if len(path) > 2 and path[0] in ("steps", "evaluate"):
        return [Usage(UsageKind.READ_BY, (f"{NAMED_SECTIONS[path[0]]} {path[1]}",))]
    return [Usage(UsageKind.READ_BY, (SECTION_READERS[path[0]],))] if path and path[0] in SECTION_READERS else []


def _of_section(config: Config, section: str, name: str) -> list[Usage]:
    """The usages of a data set, network, step or evaluation."""
    usages = {
        "data": data_usages,
        "networks": network_usages,
        "steps": step_usages,
        "evaluate": evaluation_usages,
    }
    return usages[section](config, name)


def _holder(component: Component, when: When) -> Usage:
    """The component that reads one of its options."""
    is_gated = component.kind in ("injectors", "losses", "callbacks")
    name = component.registered.name if component.registered else "?"
    parts = component.path.split(".")
    if component.kind in ("optimizers", "schedules"):
        what = "optimizer" if component.kind == "optimizers" else "schedule"
        is_of_step = component.kind == "optimizers" or parts[2:3] == ["schedule"]
        owner = f"step {parts[1]}" if is_of_step else component.path
        reader = f"the {what} {name} of {owner}"
    else:
        reader = f"{component.path} ({name})" if name != parts[-1] else component.path
    return Usage(UsageKind.READ_BY, (reader,), gate=when if is_gated else ALWAYS)


def _scheduled(config: Config, path: Sequence[str]) -> list[Usage]:
    """The schedules that change a learning rate."""
    step = config.steps.get(path[1]) if path[0] == "steps" else None
    if step is None or path[2] != "optimizer" or path[-1] != "lr":
        return []
    return [
        Usage(UsageKind.CHANGED_BY, (f"{phase.path} ({phase.node.plain().get('type')})",)) for phase in step.schedule
    ]


def _names(path: Sequence[str], node: Node | None, option: Option | None) -> list[str]:
    """The names of keys, networks, steps or data sets that a value holds."""
    if node is None or option is None or (isinstance(node.value, dict) and option.role is None):
        return []
    role = option.role.role if option.role is not None else None
    is_name = role in (Role.KEY, Role.NETWORK) or (
        path[0] == "evaluate" and len(path) > 2 and path[2] in ("steps", "data")
    )
    return list(dict.fromkeys(name for name in names_in(node.masked()) if name != "_")) if is_name else []


def _named_group(config: Config, path: Sequence[str], name: str, option: Option | None) -> list[UsageGroup]:
    """The usages of what a value names, under its name; nothing for a step that does not exist."""
    role = option.role.role if option is not None and option.role is not None else None
    if role is Role.KEY:
        usages = key_usages(config, name)
        return [UsageGroup(f"key {name}", tuple(usages), "" if usages else "nothing writes or reads it")]
    if role is Role.NETWORK:
        return [UsageGroup(f"network {name}", tuple(network_usages(config, name)))]
    if path[2] == "data" and name in config.data:
        return [UsageGroup(f"data {name}", tuple(data_usages(config, name)))]
    return [UsageGroup(f"step {name}", tuple(step_usages(config, name)))] if name in config.steps else []


def _entries(config: Config, section: str) -> Iterable[str]:
    parts: dict[str, Iterable[str]] = {
        "networks": config.networks,
        "steps": config.steps,
        "data": config.data,
        "evaluate": config.evaluations,
    }
    return parts[section]
