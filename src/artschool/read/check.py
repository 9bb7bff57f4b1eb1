"""The whole way from a file to a config that is proven sound, or to every fault in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from artschool.components.builtins import load_builtins
from artschool.config import plugins
from artschool.config.flow import check_flow
from artschool.config.references import check_references, warn_of_unused
from artschool.config.source import Node
from artschool.config.structure import Config, structure
from artschool.errors import ConfigError, Fault, FaultKind, allowed


def check_tree(
    tree: Node,
    *,
    with_plugins: bool = True,
    announce: Callable[[str], None] = lambda line: None,
    notes: Iterable[Fault] = (),
) -> Config:
    """Prove a composed tree.

    Args:
        with_plugins: Whether to import what `plugins:` lists; without, what only a plugin knows is reported as unknown.
        announce: Told each plugin before it is imported.
        notes: Become warnings of the config.

    Raises:
        ConfigError: With every fault that was found. Nothing was started.
    """
    load_builtins()
    faults = _load_plugins(tree, announce) if with_plugins else []
    config, found = structure(tree)
    # A plugin that could not be imported is one fault, however many of its components the file names.
    faults += [fault for fault in found if not (faults and fault.kind is FaultKind.UNKNOWN_COMPONENT)]
    if config is not None:
        faults += check_references(config)
        flow_faults, warnings = check_flow(config)
        faults += flow_faults
        config.warnings += [*notes, *warnings, *warn_of_unused(config)]
    if faults or config is None:
        raise ConfigError(in_reading_order(_with_nearest(fault, tree) for fault in faults))
    config.warnings = in_reading_order(config.warnings)
    return config


def in_reading_order(faults: Iterable[Fault]) -> list[Fault]:
    """Faults sorted by place, each once."""
    return sorted(dict.fromkeys(faults), key=lambda fault: (fault.place.source, fault.place.line, fault.place.column))


def _with_nearest(fault: Fault, tree: Node) -> Fault:
    """Add the nearest name to what an override made by its path alone, and is incomplete for that reason."""
    steps = fault.path.split(".")
    made_by_path = f"{fault.path}." in fault.place.source and not fault.place.line
    if not made_by_path or fault.hint or fault.kind is not FaultKind.MISSING_OPTION:
        return fault
    siblings = tree.at(steps[:-1]).value
    written = [key for key, node in siblings.items() if node.place.line] if isinstance(siblings, dict) else []
    return replace(fault, hint=allowed("There are", steps[-1], written) if written else "")


def _load_plugins(tree: Node, announce: Callable[[str], None]) -> list[Fault]:
    plugins.load_installed()
    listed = tree.get("plugins")
    faults: list[Fault] = []
    for index, node in enumerate(listed.value if listed is not None and isinstance(listed.value, list) else []):
        if isinstance(node.value, str):
            announce(f"plugin {node.value}")
            try:
                plugins.load_plugin(node.value, node.place, f"plugins.{index}")
            except ConfigError as error:
                faults += error.faults
    return faults
