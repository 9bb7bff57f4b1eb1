"""Removes faulty values from a tree, so that `explain` also works for files with faults."""

from __future__ import annotations

from dataclasses import replace

from artschool.config.epochs import structure_in_iterations
from artschool.config.flow import check_flow
from artschool.config.references import check_references
from artschool.config.source import Node
from artschool.config.structure import Config
from artschool.faults import Fault, FaultKind, Place

NOWHERE = Place("")
UNKNOWN = Node("unknown", NOWHERE)
FILLERS = {
    "name": UNKNOWN,
    "data": Node({}, NOWHERE),
    "networks": Node({"unknown": Node({}, NOWHERE)}, NOWHERE),
    "train": Node({"iterations": Node(1, NOWHERE)}, NOWHERE),
}
"""Placeholders for missing required sections."""


def valid_part(tree: Node) -> tuple[Config | None, list[Fault]]:
    """Structure a tree without its faulty values.

    Returns:
        The config of the remaining tree, and all faults of the given tree. The config is None if faults remain that
        removing values does not resolve.
    """
    config, faults = structure_in_iterations(tree)
    if config is not None:
        faults += [*check_references(config), *check_flow(config)[0]]
    rest, tree = faults, _filled(tree)
    while any(fault.kind is not FaultKind.MISSING_OPTION for fault in rest):
        for fault in rest:
            if fault.kind is not FaultKind.MISSING_OPTION:
                tree = _without(tree, fault.path.split("."))
        before = len(rest)
        config, rest = structure_in_iterations(tree)
        if len(rest) >= before:
            break
    return config, faults


def _filled(tree: Node) -> Node:
    """A copy of the tree with placeholders for missing required sections and options."""
    value = dict(tree.value) if isinstance(tree.value, dict) else {}
    for name, filler in FILLERS.items():
        value.setdefault(name, filler)
    steps = value.get("steps")
    if steps is not None and isinstance(steps.value, dict):
        filled = {
            name: replace(step, value={"trains": UNKNOWN, **step.value}) if isinstance(step.value, dict) else step
            for name, step in steps.value.items()
        }
        value["steps"] = replace(steps, value=filled)
    return replace(tree, value=value)


def _without(tree: Node, path: list[str]) -> Node:
    """A copy of the tree without the value at a path."""
    child = tree.child(path[0])
    if child is None:
        return tree
    kept = None if len(path) == 1 else _without(child, path[1:])
    if isinstance(tree.value, list):
        items = [kept if item is child else item for item in tree.value]
        return replace(tree, value=[item for item in items if item is not None])
    value = {**tree.value, path[0]: kept} if isinstance(tree.value, dict) else {}
    return replace(tree, value={name: node for name, node in value.items() if node is not None})
