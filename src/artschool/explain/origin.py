"""Where a value came from: a file, one of its bases, an override, a reference, or a default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from artschool.config.compose import REFERENCE
from artschool.config.layers import Layered
from artschool.config.source import Node, exists
from artschool.config.write import flow, short


def origin(file: Layered, path: Sequence[str]) -> list[str]:
    """Where the value at a path came from, in lines: the one that counts, then what it replaced."""
    node = exists(file.tree, path)
    below = [found for layer in file.layers if (found := exists(layer, path)) is not None]
    if node is None:
        return ["the default", *(f"not {_told(each)}: what holds it is replaced as a whole" for each in below)]
    lines = [str(node.start)]
    lines += _reference(file, path)
    if file.old and node.place.line:
        lines.append(f"where the old file says {file.old[node.place.line - 1].strip()}")
    is_merged = isinstance(node.value, dict)
    for each in reversed(below):
        if each.place != node.place:
            together = is_merged and isinstance(each.value, dict) and _type(each) in (None, _type(node))
            lines.append(f"on top of {_where(each)}" if together else f"instead of {_told(each)}")
    return lines


def _type(node: Node) -> object:
    name = node.get("type")
    return name.value if name is not None else None


def _reference(file: Layered, path: Sequence[str]) -> Iterator[str]:
    """How a reference is written, and where what it names stands."""
    written = file.written.at(path)
    if not isinstance(written.value, str) or not REFERENCE.search(written.value):
        return
    yield f"written {written.value!r}"
    for name in REFERENCE.findall(written.value):
        target = exists(file.tree, name.split("."))
        if target is not None:
            yield f"where {name} is {shown(target)}, at {_where(target)}"


def _told(node: Node) -> str:
    return f"{shown(node)} at {_where(node)}"


def _where(node: Node) -> str:
    return str(node.start)


def shown(node: Node) -> str:
    """A value in one line that is not long; what environment variables hold stays hidden."""
    return short(flow(node.masked()))
