"""What two files do differently, by consequence; how they are written does not count."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from artschool.config.source import KeyPath, Node
from artschool.config.write import flow, short
from artschool.diff.normalized import NormalizedConfig
from artschool.errors import Place

LONGEST = 36
"""Letters of a value that are shown."""
ARCHITECTURE = "Architecture: checkpoints of one may not fit the other"
WRITING = "Only in writing: no consequence"
GROUPS = (
    ("Speed and memory: the numbers stay", r"data\.[^.]+\.(workers|timeout)|networks\.[^.]+\.activation_checkpointing"),
    ("Speed and memory: the numbers stay", r"steps\.[^.]+\.optimizer\.shard"),
    ("Initial weights", r"networks\.[^.]+\.weights"),
    ("Training: what moves, when, and by which losses", r"networks\.[^.]+\.(frozen|after|before|every)"),
    (ARCHITECTURE, r"networks"),
    ("Optimizers and rates", r"steps\.[^.]+\.(optimizer|schedule|clip_grad_norm|batch_sizing)"),
    ("Training: what moves, when, and by which losses", r"steps"),
    ("Length, precision, batch", r"train|data\.train\.(batch_size|drop_last)"),
    ("Data", r"data\.train"),
    ("Moving averages", r"ema"),
    ("Evaluation", r"evaluate|data"),
    ("Random numbers", r"seed"),
    ("Code that is imported", r"plugins"),
    ("Log and folder", r"log|name|runs"),
    ("Which checkpoints are kept", r"checkpoint"),
)
"""Consequences with the paths that have them; the first that fits counts."""
ORDER = (
    ARCHITECTURE,
    "Initial weights",
    "Training: what moves, when, and by which losses",
    "Optimizers and rates",
    "Data",
    "Length, precision, batch",
    "Random numbers",
    "Moving averages",
    "Evaluation",
    "Which checkpoints are kept",
    "Log and folder",
    "Code that is imported",
    "Speed and memory: the numbers stay",
)
"""How consequences are told: the gravest first."""
RUNNING = re.compile(r"steps|(steps|evaluate)\.[^.]+\.injectors|steps\.[^.]+\.losses")
"""Mappings that run in the order in which they are written."""


@dataclass(frozen=True)
class Change:
    """Something that differs: its path, and what it is in the one file and in the other."""

    path: KeyPath
    text: str


@dataclass(frozen=True)
class Difference:
    """What two files do differently.

    Attributes:
        groups: The changes by consequence, the gravest first.
        writing: Those that have none.
    """

    groups: dict[str, list[Change]]
    writing: list[Change]


def difference(one: NormalizedConfig, other: NormalizedConfig) -> Difference:
    """Compare two files as they are meant."""
    changes = list(_Comparison(one, other).changes((), one.value, other.value))
    groups: dict[str, list[Change]] = {name: [] for name in ORDER}
    for change in changes:
        groups[_consequence(change.path)].append(change)
    changed = {change.path for change in changes}
    counted = {node.place for path in changed for file in (one, other) if (node := file.written(path)) is not None}
    writing = [each for each in _in_writing(one.tree, other.tree, (), counted) if not _covered(each.path, changed)]
    return Difference({name: found for name, found in groups.items() if found}, writing)


def _consequence(path: KeyPath) -> str:
    text = ".".join(path)
    return next(name for name, pattern in GROUPS if re.match(rf"(?:{pattern})(?:\.|$)", text))


class _Comparison:
    def __init__(self, one: NormalizedConfig, other: NormalizedConfig) -> None:
        self._one = one
        self._other = other

    def changes(self, path: KeyPath, one: Any, other: Any) -> Iterator[Change]:
        """What differs at a path and below it."""
        if isinstance(one, dict) and isinstance(other, dict):
            if one.get("type") != other.get("type"):  # Their defaults are of different options.
                one, other = _as_written(self._one, path, one), _as_written(self._other, path, other)
            yield from self._order(path, one, other)
            for name in [*one, *(name for name in other if name not in one)]:
                inner = (*path, name)
                if name in one and name in other:
                    yield from self.changes(inner, one[name], other[name])
                elif name in one:
                    yield Change(inner, f"only in the first: {self._shown(self._one, inner, one[name])}")
                else:
                    yield Change(inner, f"only in the second: {self._shown(self._other, inner, other[name])}")
        elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other) and _holds_mappings(one):
            for index, (first, second) in enumerate(zip(one, other, strict=True)):
                yield from self.changes((*path, str(index)), first, second)
        elif not _same(one, other):
            yield Change(path, f"{self._shown(self._one, path, one)} -> {self._shown(self._other, path, other)}")

    def _order(self, path: KeyPath, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Change]:
        """What both run, in another order."""
        before, after = [name for name in one if name in other], [name for name in other if name in one]
        if before != after and RUNNING.fullmatch(".".join(path)):
            yield Change(path, f"moved: {', '.join(before)} -> {', '.join(after)}")

    def _shown(self, meaning: NormalizedConfig, path: KeyPath, value: Any) -> str:
        node = meaning.written(path)
        if path[0] == "plugins":
            return str(value)
        if node is None:
            return f"{short(flow(value), LONGEST)} (default)"
        # As it is written where that names an environment variable, or where defaults would hide what counts.
        is_secret = _has_secret(node)
        return short(flow(node.masked() if is_secret or isinstance(value, dict) else value), LONGEST)


def _as_written(meaning: NormalizedConfig, path: KeyPath, value: Any) -> Any:
    node = meaning.written(path)
    return value if node is None else node.plain()


def _has_secret(node: Node) -> bool:
    return node.reference is not None or any(_has_secret(child) for child in node.children())


def _holds_mappings(values: list[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal; true is not 1."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _covered(path: KeyPath, changed: set[KeyPath]) -> bool:
    """Whether a change of writing belongs to one that counts: that of what holds it, or of what it holds."""
    return any(path[: len(other)] == other or other[: len(path)] == path for other in changed)


def _in_writing(one: Node, other: Node, path: KeyPath, counted: set[Place]) -> Iterator[Change]:
    """What is written otherwise, except at the places of what counts."""
    if isinstance(one.value, dict) and isinstance(other.value, dict):
        common = [name for name in one.value if name in other.value]
        if common != [name for name in other.value if name in one.value]:
            yield Change(path, "in another order")
        for name in dict.fromkeys([*one.value, *other.value]):
            first, second = one.get(name), other.get(name)
            if first is not None and second is not None:
                yield from _in_writing(first, second, (*path, name), counted)
            elif not {node.place for node in (first, second) if node is not None} & counted:
                yield Change((*path, name), f"written in the {'first' if first is not None else 'second'} only")
    elif not _same(one.masked(), other.masked()) and not {one.place, other.place} & counted:
        yield Change(path, f"{short(flow(one.masked()), LONGEST)} or {short(flow(other.masked()), LONGEST)}")
