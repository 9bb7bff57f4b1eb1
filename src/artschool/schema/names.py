"""The names that a file defines, for an editor to offer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from artschool.config.component_reader import ComponentReader, mappings
from artschool.config.data_keys import declared_keys
from artschool.config.source import Node
from artschool.config.streams import key_in
from artschool.schema.alternatives import Schema

SNIPPET_NAME = re.compile(r"[\w./-]+")
"""Names without a character that has a meaning in snippets."""


@dataclass(frozen=True)
class Names:
    """The names that a file defines, by what they name."""

    keys: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    data: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()
    metrics: frozenset[str] = frozenset()


def names_of(tree: Node) -> Names:
    """The names that a file defines. The file may have faults."""
    reader = ComponentReader()
    data = reader.components("datasets", tree, "data")
    keys = {
        name
        for stream, component in data.items()
        for key in declared_keys(component) or ()
        for name in (key, key_in(stream, key))
    }
    metrics = set()
    for section in ("steps", "evaluate"):
        for name, node in mappings(tree, section):
            for component in reader.components("injectors", node, f"{section}.{name}.injectors").values():
                keys |= {use.name for use in component.writes}
            metrics |= {f"{name}/{metric}" for metric, _ in mappings(node, "metrics")}
    networks = {name for name, _ in mappings(tree, "networks")}
    steps = {name for name, _ in mappings(tree, "steps")}
    return Names(
        frozenset(keys), frozenset(networks | _averaged(tree)), frozenset(data), frozenset(steps), frozenset(metrics)
    )


def _averaged(tree: Node) -> set[str]:
    """The names of moving averages."""
    node = (tree.get("ema") or tree).get("networks")
    listed = node.plain() if node is not None and tree.get("ema") is not None else []
    if not isinstance(listed, dict):
        return {f"{name}.ema" for name in (listed if isinstance(listed, list) else [])}
    others = {name: value["of"] for name, value in listed.items() if isinstance(value, dict) and "of" in value}
    return {f"{others[name]}.{name}" if name in others else f"{name}.ema" for name in listed}


def name_schema(known: Iterable[str]) -> Schema:
    """The schema of a name: any text, with the known names offered for completion."""
    # `enum` would reject other names, and `examples` would fill every hover. Most editors support these snippets.
    snippets = [{"label": name, "bodyText": name} for name in sorted(known) if SNIPPET_NAME.fullmatch(name)]
    return {"type": "string", "minLength": 1} | ({"defaultSnippets": snippets} if snippets else {})
