"""Composes a file and keeps its layers: the bases, the file itself, and the overrides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from artschool.config.compose import apply_overrides, apply_recorded, fill_references, resolve_bases
from artschool.config.paths import beside
from artschool.config.source import Node, read_file
from artschool.errors import ConfigError
from artschool.faults import Fault
from artschool.paths import is_file


@dataclass
class Layered:
    """A file with the layers that it is composed of. Faulty layers are left out.

    Attributes:
        layers: The tree of each file alone, in increasing precedence.
        written: All layers and overrides merged, with references as written.
        tree: `written` with references filled in.
        faults: The faults of what could not be composed.
        old: The lines of a DL-Art-School file, whose layers are converted; empty for other files.
    """

    layers: list[Node]
    written: Node
    tree: Node
    faults: list[Fault] = field(default_factory=list)
    old: list[str] = field(default_factory=list)


def compose_in_layers(tree: Node, path: Path, overrides: Sequence[str]) -> Layered:
    """Compose like `compose.finish`, but keep the layers, and collect the faults instead of raising."""
    faults: list[Fault] = []
    layers = list(_layers(tree, path, ()))
    written = layers[-1]
    try:
        written = apply_recorded(resolve_bases(tree, path), path)
    except ConfigError as error:
        faults += error.faults
    for override in overrides:
        written = apply_overrides(written, [override])  # Raises for a wrong override, which is not a fault of the file.
    finished, more = fill_references(written)
    return Layered(layers, written, finished, [*faults, *more])


def _layers(tree: Node, path: Path, chain: tuple[Path, ...]) -> Iterator[Node]:
    base, chain = tree.get("base"), (*chain, path.resolve())
    for node in (base.value if isinstance(base.value, list) else [base]) if base is not None else ():
        other = beside(path, str(node.value))
        if is_file(other) and other.resolve() not in chain:
            with suppress(ConfigError):
                yield from _layers(read_file(other), other, chain)
    yield tree
