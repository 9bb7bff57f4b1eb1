"""Finds the differences between two files, grouped by their effect. Differences in notation have no effect."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from artschool.config.source import KeyPath, Node
from artschool.config.write import flow, short
from artschool.diff.normalized import NormalizedConfig
from artschool.faults import Place

LONGEST = 36
"""Longest value that is printed in full, in characters."""
NOTATION = "Notation only: no consequence"


class Consequence(enum.StrEnum):
    """What a change affects, the most severe first."""

    ARCHITECTURE = "Architecture: checkpoints may be incompatible"
    INITIAL_WEIGHTS = "Initial weights"
    TRAINING = "Training: trained networks, timing and losses"
    OPTIMIZATION = "Optimizers and learning rates"
    DATA = "Data"
    BATCHES = "Batch size"
    LENGTH = "Length"
    COMPUTATION = "Precision and computation"
    RANDOMNESS = "Random numbers"
    AVERAGES = "Moving averages"
    EVALUATION = "Evaluation"
    CHECKPOINTS = "Checkpoints"
    LOGS = "Logs and run folder"
    CODE = "Imported code"
    SPEED = "Speed and memory: same results"


CONSEQUENCES = {
    "data.*.workers": Consequence.SPEED,
    "data.*.timeout": Consequence.SPEED,
    "data.*.max_bad": Consequence.SPEED,
    "data.*.cache": Consequence.SPEED,
    "networks.*.activation_checkpointing": Consequence.SPEED,
    "networks.*.compile": Consequence.SPEED,
    "train.compile": Consequence.SPEED,
    "networks.*.parallel": Consequence.SPEED,
    "networks.*.wrap": Consequence.SPEED,
    "train.parallel": Consequence.SPEED,
    "train.offload": Consequence.SPEED,
    "train.hang_timeout": Consequence.SPEED,
    "steps.*.optimizer.shard": Consequence.SPEED,
    "networks.*.saved": Consequence.CHECKPOINTS,
    "networks.*.channels_last": Consequence.COMPUTATION,
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
    "train.iterations": Consequence.LENGTH,
    "train.epochs": Consequence.LENGTH,
    "train.stop": Consequence.LENGTH,
    "train": Consequence.COMPUTATION,
    "data.train.batch_size": Consequence.BATCHES,
    "data.train.drop_last": Consequence.BATCHES,
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
    """A difference: its path, and a text that shows both values."""

    path: KeyPath
    text: str


@dataclass(frozen=True)
class Difference:
    """The differences between two files.

    Attributes:
        groups: Changes by effect, the most severe first.
        notation: Changes without a consequence.
    """

    groups: dict[Consequence, list[Change]]
    notation: list[Change]


def difference(one: NormalizedConfig, other: NormalizedConfig) -> Difference:
    """Compare two normalized files."""
    changes = list(_Comparison(one, other).changes((), one.value, other.value))
    groups: dict[Consequence, list[Change]] = {consequence: [] for consequence in Consequence}
    for change in changes:
        groups[consequence_of(change.path)].append(change)
    changed = {change.path for change in changes}
    counted = {node.place for path in changed for file in (one, other) if (node := file.node_at(path)) is not None}
    notation = _notation_changes(one.tree, other.tree, (), counted)
    return Difference(
        {consequence: found for consequence, found in groups.items() if found},
        [change for change in notation if not _is_related(change.path, changed)],
    )


def consequence_of(path: KeyPath) -> Consequence:
    """What a change at a path affects."""
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
        """The changes at a path and below it."""
        if isinstance(one, dict) and isinstance(other, dict):
            if one.get("type") != other.get("type"):  # The defaults of different components are not comparable.
                one, other = _as_written(self._one, path, one), _as_written(self._other, path, other)
            yield from self._order(path, one, other)
            for name in [*one, *(name for name in other if name not in one)]:
                inner = (*path, name)
                if name in one and name in other:
                    yield from self.changes(inner, one[name], other[name])
                elif name in one:
                    yield Change(inner, f"only in the first file: {self._value_text(self._one, inner, one[name])}")
                else:
                    yield Change(inner, f"only in the second file: {self._value_text(self._other, inner, other[name])}")
        elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other) and _holds_mappings(one):
            for index, (first, second) in enumerate(zip(one, other, strict=True)):
                yield from self.changes((*path, str(index)), first, second)
        elif not _same(one, other):
            yield Change(
                path, f"{self._value_text(self._one, path, one)} -> {self._value_text(self._other, path, other)}"
            )

    def _order(self, path: KeyPath, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Change]:
        """A change in the order of the entries that both files have."""
        before, after = [name for name in one if name in other], [name for name in other if name in one]
        if before != after and _is_ordered(path):
            yield Change(path, f"reordered: {', '.join(before)} -> {', '.join(after)}")

    def _value_text(self, config: NormalizedConfig, path: KeyPath, value: Any) -> str:
        node = config.node_at(path)
        if path[0] == "plugins":
            return str(value)
        if node is None:
            return f"{short(flow(value), LONGEST)} (default)"
        # A reference may name a secret environment variable. A mapping is printed without its defaults.
        is_as_written = has_reference(node) or isinstance(value, dict)
        return short(flow(node.masked() if is_as_written else value), LONGEST)


def _as_written(config: NormalizedConfig, path: KeyPath, value: Any) -> Any:
    node = config.node_at(path)
    return value if node is None else node.plain()


def has_reference(node: Node) -> bool:
    """Whether a value, or a part of it, comes from the environment."""
    return node.reference is not None or any(has_reference(child) for child in node.children())


def _holds_mappings(values: list[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal. Unlike in Python, true is not equal to 1."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _is_related(path: KeyPath, changed: set[KeyPath]) -> bool:
    """Whether a path is above or below that of a change with a consequence."""
    return any(path[: len(other)] == other or other[: len(path)] == path for other in changed)


def _notation_changes(one: Node, other: Node, path: KeyPath, counted: set[Place]) -> Iterator[Change]:
    """Changes in notation, except at the locations of changes with a consequence.

    Args:
        counted: Locations of the changes with a consequence, in both files.
    """
    if isinstance(one.value, dict) and isinstance(other.value, dict):
        common = [name for name in one.value if name in other.value]
        if common != [name for name in other.value if name in one.value]:
            yield Change(path, "different order")
        for name in dict.fromkeys([*one.value, *other.value]):
            first, second = one.get(name), other.get(name)
            if first is not None and second is not None:
                yield from _notation_changes(first, second, (*path, name), counted)
            elif not {node.place for node in (first, second) if node is not None} & counted:
                yield Change((*path, name), f"written only in the {'first' if first is not None else 'second'} file")
    elif not _same(one.masked(), other.masked()) and not {one.place, other.place} & counted:
        yield Change(path, f"{short(flow(one.masked()), LONGEST)} -> {short(flow(other.masked()), LONGEST)}")
