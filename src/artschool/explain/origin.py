"""Where a value was set: in a file, one of its bases, an override, a reference, or by default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from artschool.config.compose import REFERENCE
from artschool.config.layers import Layered
from artschool.config.source import Node, exists
from artschool.config.write import flow, short


def origin(file: Layered, path: Sequence[str]) -> list[str]:
    """Lines on where the value at a path was set: the effective location, then the values that it replaced."""
    node = exists(file.tree, path)
    below = [found for tree in file.layers if (found := exists(tree, path)) is not None]
    if node is None:
        return ["the default", *(f"not {_with_location(layer)}: the mapping around it is replaced" for layer in below)]
    lines = [str(node.start)]
    lines += _reference(file, path)
    if file.old and node.place.line:
        lines.append(f"converted from {file.old[node.place.line - 1].strip()}")
    is_merged = isinstance(node.value, dict)
    for layer in reversed(below):
        if layer.place != node.place:
            is_base = is_merged and isinstance(layer.value, dict) and _type(layer) in (None, _type(node))
            lines.append(f"merged into {layer.start}" if is_base else f"replaces {_with_location(layer)}")
    return lines


def _type(node: Node) -> object:
    name = node.get("type")
    return name.value if name is not None else None


def _reference(file: Layered, path: Sequence[str]) -> Iterator[str]:
    """A reference as written, and the location of each value that it names."""
    written = file.written.at(path)
    if not isinstance(written.value, str) or not REFERENCE.search(written.value):
        return
    yield f"written {written.value!r}"
    for name in REFERENCE.findall(written.value):
        target = exists(file.tree, name.split("."))
        if target is not None:
            yield f"where {name} is {_with_location(target)}"


def _with_location(node: Node) -> str:
    return f"{value_text(node)} at {node.start}"


def value_text(node: Node) -> str:
    """A value on one short line. The values of environment variables stay hidden."""
    return short(flow(node.masked()))
