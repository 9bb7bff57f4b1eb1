"""What reads what stands at a path of a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from artschool.config.component import names_in
from artschool.config.options import Option
from artschool.config.source import Node
from artschool.config.structure import Config
from artschool.config.when import ALWAYS
from artschool.explain.uses import (
    Row,
    all_components,
    component_rows,
    data_rows,
    evaluation_rows,
    key_rows,
    network_rows,
    step_rows,
)
from artschool.registry.signature import Role

SERVES = {
    "name": "the run: it names its folder below `runs`",
    "seed": "everything random: weights, data, each iteration",
    "plugins": "the check, which imports them first",
    "runs": "the run: its folder stands in it",
    "base": "the reader of the file, before anything else",
    "train": "the training loop",
    "ema": "the moving averages, after each update",
    "log": "the training loop, for the log",
    "checkpoint": "the training loop, for its checkpoints",
}
"""Who reads the sections that are no mapping of named things."""
NAMED = {"data": "data set", "networks": "network", "steps": "step", "evaluate": "evaluation"}


def reader_rows(config: Config, path: Sequence[str], node: Node | None, option: Option | None) -> list[Row]:
    """Who reads what stands at a path, and the same of the keys, networks, steps and data that it names."""
    if len(path) == 2 and path[0] in NAMED and path[1] in _named(config, path[0]):
        tell = {"networks": network_rows, "steps": step_rows, "data": data_rows, "evaluate": evaluation_rows}
        return tell[path[0]](config, path[1])
    components = {component.path: (component, when) for component, when in all_components(config)}
    where = ".".join(path)
    if where in components:
        return component_rows(config, *components[where])
    rows = [row for name in _names(path, node, option) for row in _named_rows(config, path, name, option)]
    if rows:
        return rows
    holders = [name for name in components if where.startswith(f"{name}.")]
    if holders:
        component, when = components[max(holders, key=len)]
        gate = f", {when}" if when != ALWAYS and component.kind in ("injectors", "losses", "callbacks") else ""
        name = component.registered.name if component.registered else "?"
        reader = _reader(component.kind, component.path, name)
        return [("read by", f"{reader}{gate}"), *_scheduled(config, path)]
    if len(path) > 2 and path[0] in ("steps", "evaluate"):
        return [("read by", f"{NAMED[path[0]]} {path[1]}")]
    return [("read by", SERVES[path[0]])] if path and path[0] in SERVES else []


def _reader(kind: str, path: str, name: str) -> str:
    parts = path.split(".")
    if kind in ("optimizers", "schedules"):
        what = "optimizer" if kind == "optimizers" else "schedule"
        return f"the {what} {name} of {NAMED.get(parts[0], parts[0])} {parts[1]}"
    return f"{path} ({name})" if name != parts[-1] else path


def _scheduled(config: Config, path: Sequence[str]) -> list[Row]:
    """What changes a learning rate on the way."""
    step = config.steps.get(path[1]) if path[0] == "steps" else None
    if step is None or path[2] != "optimizer" or path[-1] != "lr":
        return []
    return [("changed by", f"{phase.path} ({phase.node.plain().get('type')})") for phase in step.schedule]


def _names(path: Sequence[str], node: Node | None, option: Option | None) -> list[str]:
    """The names of keys, networks, steps or data that a value holds."""
    if node is None or option is None or (isinstance(node.value, dict) and option.role is None):
        return []
    role = option.role.role if option.role is not None else None
    is_name = role in (Role.KEY, Role.NETWORK) or (
        path[0] == "evaluate" and len(path) > 2 and path[2] in ("steps", "data")
    )
    return list(dict.fromkeys(name for name in names_in(node.masked()) if name != "_")) if is_name else []


def _named_rows(config: Config, path: Sequence[str], name: str, option: Option | None) -> list[Row]:
    role = option.role.role if option is not None and option.role is not None else None
    if role is Role.KEY:
        rows = key_rows(config, name)
        return [(f"key {name}", "" if rows else "nothing writes or reads it"), *_deeper(rows)]
    if role is Role.NETWORK:
        return [(f"network {name}", ""), *_deeper(network_rows(config, name))]
    if path[2] == "data" and name in config.data:
        return [(f"data {name}", ""), *_deeper(data_rows(config, name))]
    return [(f"step {name}", ""), *_deeper(step_rows(config, name))] if name in config.steps else []


def _deeper(rows: Sequence[Row]) -> list[Row]:
    return [(f"  {label}", text) for label, text in rows]


def _named(config: Config, section: str) -> Iterable[str]:
    parts: dict[str, Iterable[str]] = {
        "networks": config.networks,
        "steps": config.steps,
        "data": config.data,
        "evaluate": config.evaluations,
    }
    return parts[section]
