"""Injectors of an old file that cannot run in training, and whose results nothing there reads."""

from __future__ import annotations

from collections.abc import Iterator

from artschool.config.source import Node
from artschool.legacy.rules import Fields, Notes, items, mapping, rebuilt, text
from artschool.registry import REGISTRIES


def leave_to_evaluations(fields: Fields, notes: Notes) -> None:
    """Leave injectors to evaluations that read what neither the training data nor a component writes.

    The reference stopped at the first of them, also where nothing needs its result.

    Args:
        fields: The converted file, whose steps are changed in place.
        notes: Gets a warning for each.
    """
    data = text(mapping(mapping(fields.get("data")).get("train")).get("type"))
    yields = REGISTRIES["datasets"].get(data).signature.yields if data in REGISTRIES["datasets"] else None
    if yields is None:
        return
    steps = mapping(fields.get("steps"))
    injectors = {
        f"steps.{name}.injectors.{own}": (mapping(step.get("injectors")), own)
        for name, step in steps.items()
        for own in mapping(step.get("injectors"))
    }
    written = {*yields, *(key for section, own in injectors.values() for key in _keys(section[own], "out"))}
    read = {key for step in steps.values() for key in _texts(step)}
    for path, (section, own) in injectors.items():
        node = section[own]
        missing = [key for key in _keys(node, "in") if key not in written]
        if missing and "only" not in mapping(node) and not read & {*_keys(node, "out")}:
            message = f"reads {missing[0]!r}, which nothing writes in training, and nothing there reads its result"
            notes.warn(node, path, message, "It is left to evaluations: `only: evaluation`.")
            section[own] = rebuilt(node, {**mapping(node), "only": Node("evaluation", node.place)})


def _keys(node: Node, option: str) -> list[str]:
    return [text(key) for key in items(node.get(option))]


def _texts(node: Node, option: str = "") -> Iterator[str]:
    """All texts of a node but the results of injectors."""
    if isinstance(node.value, dict):
        for name, child in node.value.items():
            yield from _texts(child, name)
    elif isinstance(node.value, list):
        for child in node.value:
            yield from _texts(child, option)
    elif option != "out":
        yield text(node)
