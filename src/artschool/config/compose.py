"""The tree that a file means: `base:` files below it, overrides above it, and `${...}` filled in. Places stay."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from artschool.config.messages import describe
from artschool.config.scalars import Scalar, resolve
from artschool.config.source import MOST_DEPTH, MOST_NODES, TOO_DEEP, Node, read_file, read_text, tag_faults
from artschool.errors import ConfigError, Fault, Place

REFERENCE = re.compile(r"(?<!\$)\$\{([^${}]*)\}")
ENVIRONMENT = "env:"


def finish(tree: Node, path: Path, overrides: Sequence[str] = ()) -> Node:
    """What a file means that has been read: its bases below it, overrides above it, references filled in.

    Args:
        tree: The file.
        path: Where it stands, for the files that `base:` names.
        overrides: `steps.gen.optimizer.lr=3e-4`; the value is YAML, and an empty one is null.

    Raises:
        ConfigError: With every fault found.
    """
    if not isinstance(tree.value, dict):
        raise ConfigError(Fault(tree.place, "", f"a file is a mapping of sections, found {describe(tree)}"))
    try:
        tree = apply_overrides(resolve_bases(tree, path), overrides)
        if faults := tag_faults(tree):
            raise ConfigError(faults)
        tree = interpolate(tree)
        _limit_depth(tree)
    except RecursionError:
        raise ConfigError(Fault(Place(str(path)), "", TOO_DEEP)) from None
    return tree


def resolve_bases(tree: Node, path: Path, chain: tuple[Path, ...] = ()) -> Node:
    """Merge the files that `base:` names, later ones over earlier ones and the file itself over all."""
    base = tree.get("base")
    if base is None or not isinstance(tree.value, dict):
        return tree
    chain = (*chain, path.resolve())
    merged = Node({}, tree.place)
    for node in base.value if isinstance(base.value, list) else [base]:
        if not isinstance(node.value, str):
            raise ConfigError(Fault(node.place, "base", "names a file, or a list of files"))
        other = path.parent / node.value
        if other.resolve() in chain:
            names = (part.name for part in (*chain, other))
            raise ConfigError(Fault.circular_reference(node.place, "base", names))
        if not other.is_file():
            raise ConfigError(Fault.missing_file(node.place, "base", other))
        merged = merge(merged, resolve_bases(read_file(other), other, chain))
    own = replace(tree, value={key: node for key, node in tree.value.items() if key != "base"})
    return merge(merged, own)


def merge(below: Node, above: Node) -> Node:
    """Mappings are merged key by key, everything else is replaced.

    Two mappings of different `type` are not merged: options of one component mean nothing to another.
    """
    if not (isinstance(below.value, dict) and isinstance(above.value, dict)):
        return above
    types = [node.value for node in (below.get("type"), above.get("type")) if node is not None]
    if len(types) == 2 and types[0] != types[1]:
        return above
    merged = dict(below.value)
    for key, node in above.value.items():
        merged[key] = merge(merged[key], node) if key in merged else node
    return replace(above, value=merged)


def apply_overrides(tree: Node, overrides: Sequence[str]) -> Node:
    """Set values by path. Mappings on the way that do not exist are made; the check finds typos in them."""
    faults: list[Fault] = []
    for text in overrides:
        try:
            tree = _override(tree, text)
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(faults)
    return tree


def _override(tree: Node, text: str) -> Node:
    place = Place(f"override {text!r}")
    path, equals, value = text.partition("=")
    steps = path.split(".")
    if not equals or not all(step.strip() == step and step for step in steps):
        raise ConfigError(Fault(place, "", "write it as path.to.key=value"))
    if steps[0] == "base":
        raise ConfigError(Fault(place, "base", "is read before overrides; write it in the file"))
    try:
        node = _placed(read_text(value, "override"), place) if value else Node(None, place)
    except ConfigError as error:
        raise ConfigError([replace(fault, place=place, hint="") for fault in error.faults]) from None
    return _set(tree, steps, node, place, path)


def _placed(node: Node, place: Place) -> Node:
    value = node.value
    if isinstance(value, dict):
        value = {key: _placed(child, place) for key, child in value.items()}
    elif isinstance(value, list):
        value = [_placed(child, place) for child in value]
    return replace(node, value=value, place=place, key_place=place)


def _set(tree: Node, steps: Sequence[str], node: Node, place: Place, path: str) -> Node:
    if not steps:
        return node
    step, rest = steps[0], steps[1:]
    if isinstance(tree.value, list):
        if not step.isdecimal() or int(step) >= len(tree.value):
            raise ConfigError(
                Fault(place, path, f"{step!r} is no index of the list of {len(tree.value)} at {tree.place}")
            )
        items = list(tree.value)
        items[int(step)] = _set(items[int(step)], rest, node, place, path)
        return replace(tree, value=items)
    if tree.value is not None and not isinstance(tree.value, dict):
        raise ConfigError(Fault(place, path, f"{tree.value!r} at {tree.place} holds no key {step!r}"))
    entries = dict(tree.value or {})
    entries[step] = _set(entries.get(step) or Node(None, place, place), rest, node, place, path)
    return replace(tree, value=entries)


def interpolate(tree: Node) -> Node:
    """Fill in `${path.to.key}` and `${env:NAME}`. A scalar that is one reference takes the whole value.

    What an environment variable holds is marked, so that it is never written anywhere.
    """
    filled, faults = fill_references(tree)
    if faults:
        raise ConfigError(faults)
    return filled


def fill_references(tree: Node) -> tuple[Node, list[Fault]]:
    """The same as far as it goes, null for what a wrong reference names; with every fault found."""
    filler = _Filler(tree)
    filled = filler.fill(tree, ())
    return filled, list(dict.fromkeys(filler.faults))


class _Filler:
    def __init__(self, tree: Node) -> None:
        self.faults: list[Fault] = []
        self._tree = tree
        self._count = 0

    def fill(self, node: Node, chain: tuple[str, ...]) -> Node:
        self._count += 1
        if self._count > MOST_NODES:
            raise ConfigError(Fault(node.place, "", f"grows to more than {MOST_NODES:,} values"))
        if isinstance(node.value, dict):
            return replace(node, value={key: self.fill(child, chain) for key, child in node.value.items()})
        if isinstance(node.value, list):
            return replace(node, value=[self.fill(child, chain) for child in node.value])
        if not isinstance(node.value, str) or "${" not in node.value:
            return node
        whole = REFERENCE.fullmatch(node.value)
        if whole:
            found = self._look_up(whole[1], node, chain)
            return replace(node, value=found.value, reference=found.reference and node.value)
        return self._fill_text(node, chain)

    def _fill_text(self, node: Node, chain: tuple[str, ...]) -> Node:
        secret = False

        def insert(match: re.Match[str]) -> str:
            nonlocal secret
            found = self._look_up(match[1], node, chain)
            secret = secret or found.reference is not None
            if isinstance(found.value, dict | list):
                self.faults.append(
                    Fault(node.place, "", f"{match[0]} is a list or a mapping and does not fit into text")
                )
            return _as_text(found)

        text = REFERENCE.sub(insert, str(node.value)).replace("$${", "${")
        return replace(node, value=text, reference=str(node.value) if secret else None)

    def _look_up(self, name: str, node: Node, chain: tuple[str, ...]) -> Node:
        if name.startswith(ENVIRONMENT):
            return self._environment(name.removeprefix(ENVIRONMENT), node)
        if name in chain:
            self.faults.append(Fault.circular_reference(node.place, "", (*chain, name), f"${{{name}}}"))
            return Node(None, node.place)
        target: Node | None = self._tree
        for step in name.split("."):
            parent, target = target, target.child(step) if target else None
            if target is None:
                known = parent.value if parent is not None and isinstance(parent.value, dict) else {}
                variable = name.rpartition(":")[2]  # As other languages write it: ${HOME}, ${oc.env:HOME}.
                is_variable = parent is self._tree and variable in os.environ
                hint = f"`${{env:{variable}}}` is the environment variable." if is_variable else ""
                message = f"${{{name}}}: there is no {step!r}"
                self.faults.append(Fault.unknown_name(node.place, "", message, step, known, hint=hint))
                return Node(None, node.place)
        assert target is not None
        return self.fill(target, (*chain, name))

    def _environment(self, name: str, node: Node) -> Node:
        if name not in os.environ:
            message = f"the environment variable {name!r} is not set"
            self.faults.append(Fault.unknown_name(node.place, "", message, name, os.environ))
            return Node(None, node.place)
        return Node(resolve(os.environ[name]), node.place, reference=str(node.value))


def _as_text(node: Node) -> str:
    value: Scalar | object = node.value
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _limit_depth(node: Node, depth: int = 0) -> None:
    """References and overrides may not nest values deeper than a file may."""
    if depth > MOST_DEPTH:
        raise ConfigError(Fault(node.place, "", TOO_DEEP))
    for child in node.children():
        _limit_depth(child, depth + 1)
