"""What two files do differently, by consequence; how they are written does not count."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from artschool.config.source import KeyPath, Node
from artschool.config.write import flow, short
from artschool.diff.normalized import NormalizedConfig
from artschool.errors import Place

LONGEST = 36
"""Letters of a value that are shown."""
NOTATION = "Only in writing: no consequence"


class Consequence(enum.StrEnum):
    """What a change affects, the gravest first."""

    ARCHITECTURE = "Architecture: checkpoints of one may not fit the other"
    INITIAL_WEIGHTS = "Initial weights"
    TRAINING = "Training: what moves, when, and by which losses"
    OPTIMIZATION = "Optimizers and rates"
    DATA = "Data"
    LENGTH = "Length, precision, batch"
    RANDOMNESS = "Random numbers"
    AVERAGES = "Moving averages"
    EVALUATION = "Evaluation"
    CHECKPOINTS = "Which checkpoints are kept"
    LOGS = "Log and folder"
    CODE = "Code that is imported"
    SPEED = "Speed and memory: the numbers stay"


CONSEQUENCES = {
    "data.*.workers": Consequence.SPEED,
    "data.*.timeout": Consequence.SPEED,
    "networks.*.activation_checkpointing": Consequence.SPEED,
    "steps.*.optimizer.shard": Consequence.SPEED,
    "networks.*.weights": Consequence.INITIAL_WEIGHTS,
    "networks.*.frozen": Consequence.TRAINING,
    "networks.*.after": Consequence.TRAINING,
    "networks.*.before": Consequence.TRAINING,
    "networks.*.every": Consequence.TRAINING,
    "networks": Consequence.ARCHITECTURE,
    "steps.*.optimizer": Consequence.OPTIMIZATION,
    "steps.*.schedule": Consequence.OPTIMIZATION,
    "steps.*.clip_grad_norm": Consequence.OPTIMIZATION,
    "steps.*.batch_sizing": Consequence.OPTIMIZATION,
    "steps": Consequence.TRAINING,
    "train": Consequence.LENGTH,
    "data.train.batch_size": Consequence.LENGTH,
    "data.train.drop_last": Consequence.LENGTH,
    "data.train": Consequence.DATA,
    "ema": Consequence.AVERAGES,
    "evaluate": Consequence.EVALUATION,
    "data": Consequence.EVALUATION,
    "seed": Consequence.RANDOMNESS,
    "plugins": Consequence.CODE,
    "log": Consequence.LOGS,
    "name": Consequence.LOGS,
    "runs": Consequence.LOGS,
    "checkpoint": Consequence.CHECKPOINTS,
}
"""The consequence of a change at or below a path. The first match counts; `*` is any name."""
ORDERED = ("steps", "steps.*.injectors", "evaluate.*.injectors", "steps.*.losses")
"""Mappings whose entries run in the order in which they are written."""


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

    groups: dict[Consequence, list[Change]]
    writing: list[Change]


def difference(one: NormalizedConfig, other: NormalizedConfig) -> Difference:
    """Compare two files as they are meant."""
    changes = list(_Comparison(one, other).changes((), one.value, other.value))
    groups: dict[Consequence, list[Change]] = {consequence: [] for consequence in Consequence}
    for change in changes:
        groups[_consequence(change.path)].append(change)
    changed = {change.path for change in changes}
    counted = {node.place for path in changed for file in (one, other) if (node := file.written(path)) is not None}
    writing = [each for each in _in_writing(one.tree, other.tree, (), counted) if not _covered(each.path, changed)]
    return Difference({name: found for name, found in groups.items() if found}, writing)


def _consequence(path: KeyPath) -> Consequence:
    return next(consequence for pattern, consequence in CONSEQUENCES.items() if _begins_with(path, pattern))


def _begins_with(path: KeyPath, pattern: str) -> bool:
    parts = pattern.split(".")
    return len(path) >= len(parts) and all(part in ("*", name) for part, name in zip(parts, path, strict=False))


def _is_ordered(path: KeyPath) -> bool:
    return any(len(path) == len(pattern.split(".")) and _begins_with(path, pattern) for pattern in ORDERED)


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
        if before != after and _is_ordered(path):
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
