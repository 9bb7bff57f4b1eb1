"""A file in the layers of which it is composed: its bases, itself, the overrides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from artschool.config.compose import apply_overrides, fill_references, resolve_bases
from artschool.config.source import Node, read_file
from artschool.errors import ConfigError, Fault


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
