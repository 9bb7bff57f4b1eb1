"""Names with characters that ours may not have: they are folded, wherever the file mentions them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from artschool.config.source import Node
from artschool.legacy.rules import Fields, Notes, mapping, rebuilt

WITH_NAMES = (
    ("networks",),
    ("datasets",),
    ("steps",),
    ("steps", "*", "injectors"),
    ("steps", "*", "losses"),
    ("eval", "injectors"),
    ("eval", "evaluators"),
)
"""The mappings of an old file whose keys become names."""
NETWORKS = ("networks",)
WEIGHTS = ("pretrain_model_", "pretrain_base_path_")


def fold_names(tree: Node, notes: Notes) -> Node:
    """Replace the characters that names may not have by `_`. Everything that names a network follows."""
    renamed: dict[str, str] = {}
    for path in WITH_NAMES:
        new_names = renamed if path == NETWORKS else {}
        tree = _at(tree, path, "", partial(_folded, renamed=new_names, notes=notes))
    if renamed:
        tree = _with_new_names(tree, renamed)
    name = tree.get("name")
    given = "" if name is None or name.value is None else str(name.value).replace("$${", "${")
    own = _fold(given, r"[^\w.-]") if given else ""
    if name is not None and given != own:
        notes.warn(name, "name", f"is {own!r}, since the name of a folder has letters, digits, '_', '-' and '.'")
        tree = rebuilt(tree, {**mapping(tree), "name": rebuilt(name, own)})
    elif name is not None and given:
        tree = rebuilt(tree, {**mapping(tree), "name": rebuilt(name, given)})
    return tree


def _at(node: Node, path: tuple[str, ...], where: str, change: Callable[[Node, str], Node]) -> Node:
    """The node with the mappings at a path changed. `*` stands for every key."""
    if not path:
        return change(node, where)
    entries = mapping(node)
    keys = [*entries] if path[0] == "*" else [path[0]] if path[0] in entries else []
    if not keys:
        return node
    changed = {key: _at(entries[key], path[1:], f"{where}.{key}".lstrip("."), change) for key in keys}
    return replace(node, value={**entries, **changed})


def _folded(section: Node, where: str, *, renamed: dict[str, str], notes: Notes) -> Node:
    """A mapping with valid keys. Adds those that have other names now to `renamed`."""
    entries: Fields = {}
    for name, node in mapping(section).items():
        own = _fold(str(name), r"[^\w-]")
        while own != name and (own in entries or own in mapping(section)):
            own += "_"
        if own != name:
            notes.warn(node, f"{where}.{name}", f"is named {own!r}: names have letters, digits, '_' and '-'")
            renamed[str(name)] = own
        entries[own] = node
    return rebuilt(section, entries) if entries else section


def _fold(name: str, others: str) -> str:
    folded = re.sub(others, "_", name, flags=re.ASCII)[:100] or "_"
    return f"_{folded[1:]}" if folded[0] in "-." else folded


def _with_new_names(node: Node, renamed: Mapping[str, str]) -> Node:
    """The node with each mention of a network under its new name."""
    value = node.value
    if isinstance(value, str):
        return replace(node, value=renamed.get(value, value))
    if isinstance(value, list):
        return replace(node, value=[_with_new_names(part, renamed) for part in value])
    if isinstance(value, dict):
        return replace(node, value={_option(k, renamed): _with_new_names(v, renamed) for k, v in value.items()})
    return node


def _option(key: str, renamed: Mapping[str, str]) -> str:
    """An option, with the new name of a network in it: `pretrain_model_gen`."""
    prefix = next((prefix for prefix in WEIGHTS if str(key).startswith(prefix)), "")
    name = str(key).removeprefix(prefix)
    return prefix + renamed[name] if prefix and name in renamed else key
