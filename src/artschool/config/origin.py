"""Where a value came from: a file, one of its bases, an override, a reference, or a default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from artschool.config.compose import REFERENCE, apply_overrides, fill_references, resolve_bases
from artschool.config.source import Node, read_file
from artschool.config.write import flow
from artschool.errors import ConfigError, Fault

LONGEST = 60
"""Letters of a value that are shown."""


@dataclass
class Layered:
    """A file in the layers of which it is composed, as far as they can be.

    Attributes:
        layers: Each file alone, those that count more later.
        written: All of them together with the overrides, references as they stand.
        tree: With references filled in.
        faults: Why something of it could not be.
        old: The lines of a file of DL-Art-School, of which the layers are what it means.
    """

    layers: list[Node]
    written: Node
    tree: Node
    faults: list[Fault] = field(default_factory=list)
    old: list[str] = field(default_factory=list)


def compose_in_layers(tree: Node, path: Path, overrides: Sequence[str]) -> Layered:
    """What `compose.finish` does, kept in parts and with faults collected."""
    faults: list[Fault] = []
    layers = list(_layers(tree, path, ()))
    written = layers[-1]
    try:
        written = resolve_bases(tree, path)
    except ConfigError as error:
        faults += error.faults
    for override in overrides:
        written = apply_overrides(written, [override])  # One that cannot be read is no fault of the file.
    finished, more = fill_references(written)
    return Layered(layers, written, finished, [*faults, *more])


def _layers(tree: Node, path: Path, chain: tuple[Path, ...]) -> Iterator[Node]:
    base, chain = tree.get("base"), (*chain, path.resolve())
    for node in (base.value if isinstance(base.value, list) else [base]) if base is not None else ():
        other = path.parent / str(node.value)
        if other.is_file() and other.resolve() not in chain:
            with suppress(ConfigError):
                yield from _layers(read_file(other), other, chain)
    yield tree


def exists(tree: Node, path: Sequence[str]) -> Node | None:
    """The node at a path, None where there is none."""
    node: Node | None = tree
    for step in path:
        node = node.child(step) if node is not None else None
    return node


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


def short(text: str, most: int = LONGEST) -> str:
    """Text, cut where it is long."""
    return text if len(text) <= most else text[: most - 3] + "..."
