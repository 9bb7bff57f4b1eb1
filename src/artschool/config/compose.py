"""Composes a file with its `base:` files and overrides, and fills in `${...}`. Nodes keep their locations."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from artschool.config.messages import describe
from artschool.config.named_entries import is_named_entry, is_section
from artschool.config.origin import recorded_overrides
from artschool.config.paths import beside
from artschool.config.scalars import Scalar, resolve
from artschool.config.secrets import hide_secrets, override_without_secret
from artschool.config.source import MAX_NODES, Node, read_file, read_text, tag_faults
from artschool.config.syntax import MAX_DEPTH, TOO_DEEP
from artschool.errors import ConfigError
from artschool.faults import Fault, Place
from artschool.wording.hidden import STARS, hide

REFERENCE = re.compile(r"(?<!\$)\$\{([^${}]*)\}")
ENVIRONMENT = "env:"


def finish(tree: Node, path: Path, overrides: Sequence[str] = ()) -> Node:
    """Compose a file: merge it over its bases, apply the overrides, and fill in the references.

    Args:
        tree: The file as read.
        path: Path of the file, to which the paths under `base:` are relative.
        overrides: Assignments such as `steps.gen.optimizer.lr=3e-4`. The value is YAML; an empty value is null.

    Raises:
        ConfigError: With every fault found.
    """
    if not isinstance(tree.value, dict):
        raise ConfigError(Fault.wrong_value(tree.place, "", ["a mapping of sections"], describe(tree)))
    try:
        tree = apply_overrides(apply_recorded(resolve_bases(tree, path), path), overrides)
        if faults := tag_faults(tree):
            raise ConfigError(faults)
        tree = interpolate(tree)
        _limit_depth(tree)
        tree = hide_secrets(tree)
    except RecursionError:
        raise ConfigError(Fault(Place(str(path)), "", TOO_DEEP)) from None
    return tree


def resolve_bases(tree: Node, path: Path, chain: tuple[Path, ...] = ()) -> Node:
    """Merge the files that `base:` names: later files over earlier ones, and the file itself over all of them."""
    base = tree.get("base")
    if base is None or not isinstance(tree.value, dict):
        return tree
    chain = (*chain, path.resolve())
    merged = Node({}, tree.place)
    for node in base.value if isinstance(base.value, list) else [base]:
        if not isinstance(node.value, str):
            raise ConfigError(Fault.wrong_value(node.place, "base", ["a file", "a list of files"], describe(node)))
        other = beside(path, node.value)
        if other.resolve() in chain:
            names = (part.name for part in (*chain, other))
            raise ConfigError(Fault.circular_reference(node.place, "base", names))
        if (missing := Fault.missing_file(node.place, "base", other)) is not None:
            raise ConfigError(missing)
        merged = merge(merged, resolve_bases(read_file(other), other, chain))
    own = replace(tree, value={key: node for key, node in tree.value.items() if key != "base"})
    return merge(merged, own)


def merge(below: Node, above: Node, path: tuple[str, ...] = ()) -> Node:
    """Merge mappings key by key; replace every other value.

    Mappings of different `type` are not merged, because one component does not take the options of another. null
    removes a section, and a named entry such as a step or a loss, since it can have no other meaning there.
    """
    if not (isinstance(below.value, dict) and isinstance(above.value, dict)):
        return above
    types = [node.value for node in (below.get("type"), above.get("type")) if node is not None]
    if len(types) == 2 and types[0] != types[1]:
        return above
    merged = dict(below.value)
    for key, node in above.value.items():
        if key in merged and node.value is None and _is_removed((*path, key)):
            del merged[key]
        else:
            merged[key] = merge(merged[key], node, (*path, key)) if key in merged else node
    return replace(above, value=merged)


def _is_removed(path: Sequence[str]) -> bool:
    """Whether null removes what is at a path, since it can have no other meaning there."""
    return is_named_entry(path) or is_section(path)


def apply_recorded(tree: Node, path: Path) -> Node:
    """Apply the overrides that a run folder records for its `config.yml`. They lie in the file that records them."""
    source, overrides = recorded_overrides(path)
    return apply_overrides(tree, overrides, Place(str(source), 1, 1))


def apply_overrides(tree: Node, overrides: Sequence[str], place: Place | None = None) -> Node:
    """Set values by path. Missing mappings along a path are created; the check finds misspelt ones.

    Args:
        place: The location of the overrides. None: the command line.
    """
    faults: list[Fault] = []
    for text in overrides:
        try:
            tree = _override(tree, text, place or Place(f"override {override_without_secret(text)!r}"))
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(faults)
    return tree


def _override(tree: Node, text: str, place: Place) -> Node:
    path, equals, value = text.partition("=")
    steps = path.split(".")
    if not equals or not all(step.strip() == step and step for step in steps):
        raise ConfigError(Fault(place, "", "expected path.to.key=value"))
    if steps[0] == "base":
        raise ConfigError(
            Fault(place, "base", "cannot be overridden, because bases are read first; write it in the file")
        )
    try:
        is_left_out = not value or value == STARS  # In YAML, stars are a broken alias.
        node = Node(value or None, place) if is_left_out else _placed(read_text(value, "override"), place)
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
                Fault(place, path, f"{step!r} is not an index of the list of {len(tree.value)} at {tree.place}")
            )
        items = list(tree.value)
        items[int(step)] = _set(items[int(step)], rest, node, place, path)
        return replace(tree, value=items)
    if tree.value is not None and not isinstance(tree.value, dict):
        raise ConfigError(
            Fault(place, path, f"cannot set {step!r}: the value at {tree.place} is {describe(tree)}, not a mapping")
        )
    entries = dict(tree.value or {})
    is_gone = _is_removed if step in entries else is_section  # A misspelt entry is an error, a section has its default.
    if not rest and node.value is None and is_gone(path.split(".")):
        entries.pop(step, None)
        return replace(tree, value=entries)
    entries[step] = _set(entries.get(step) or Node(None, place, place), rest, node, place, path)
    return replace(tree, value=entries)


def interpolate(tree: Node) -> Node:
    """Fill in `${path.to.key}` and `${env:NAME}`. A scalar that is a single reference gets the value with its type.

    Values of environment variables are marked, so that they are never written to a file or log.
    """
    filled, faults = fill_references(tree)
    if faults:
        raise ConfigError(faults)
    return filled


def fill_references(tree: Node) -> tuple[Node, list[Fault]]:
    """Like `interpolate`, with null for each wrong reference, and with the faults found."""
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
        if self._count > MAX_NODES:
            raise ConfigError(Fault(node.place, "", f"expands to more than {MAX_NODES:,} values"))
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
                    Fault(node.place, "", f"{match[0]} is a list or a mapping, which cannot be part of text")
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
                fault = Fault.unknown_name(node.place, "", f"${{{name}}}: key {step!r} does not exist", step, known)
                variable = name.rpartition(":")[2]  # As in other tools: ${HOME}, ${oc.env:HOME}.
                if parent is self._tree and variable in os.environ:
                    fault = replace(fault, hint=f"Fix: write `${{env:{variable}}}` for the environment variable.")
                self.faults.append(fault)
                return Node(None, node.place)
        assert target is not None
        return self.fill(target, (*chain, name))

    def _environment(self, name: str, node: Node) -> Node:
        if name not in os.environ:
            message = f"environment variable {name!r} is not set"
            self.faults.append(Fault.unknown_name(node.place, "", message, name, os.environ))
            return Node(None, node.place)
        hide(os.environ[name], f"${{{ENVIRONMENT}{name}}}")
        return Node(resolve(os.environ[name]), node.place, reference=str(node.value))


def _as_text(node: Node) -> str:
    value: Scalar | object = node.value
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _limit_depth(node: Node, depth: int = 0) -> None:
    """Check that references and overrides do not nest values deeper than a file may."""
    if depth > MAX_DEPTH:
        raise ConfigError(Fault(node.place, "", TOO_DEEP))
    for child in node.children():
        _limit_depth(child, depth + 1)
