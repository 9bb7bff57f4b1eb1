"""How the parts of a file use each other, as data, and the rows that `explain` prints for it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from artschool.config.when import ALWAYS, When
from artschool.faults import Place

Row = tuple[str, str]
"""A label and a text. An empty label continues the row above."""


class UsageKind(enum.Enum):
    """How one part of a file uses another. The value is the label of its row."""

    AVERAGED = "averaged"
    CALLED_BY = "called by"
    CALLS = "calls"
    CHANGED_BY = "changed by"
    DRAWN_BY = "drawn by"
    ON = "on"
    READ_BY = "read by"
    READS = "reads"
    RUN_BY = "run by"
    RUNS = "runs"
    TRAINED_BY = "trained by"
    TRAINS = "trains"
    UPDATED_BY = "updated by"
    WRITES = "writes"
    WRITTEN_BY = "written by"
    YIELDS = "yields"


@dataclass(frozen=True)
class Usage:
    """One use of, or by, the part that is explained.

    Attributes:
        kind: The kind of use.
        parts: The other parts: their paths, or the names of keys.
        alias: The name under which it is used: the parameters that read a key, or another name of a network.
        location: Where the other part is written, None where the row gives no location.
        gate: The iterations at which it is used.
        remark: A clause that completes the row.
    """

    kind: UsageKind
    parts: tuple[str, ...] = ()
    alias: str = ""
    location: Place | None = None
    gate: When = ALWAYS
    remark: str = ""


@dataclass(frozen=True)
class UsageGroup:
    """Uses under a title, such as those of one evaluation.

    Attributes:
        usages: The uses; a group may hold further groups.
        remark: What is printed after the title.
    """

    title: str
    usages: tuple[Usage | UsageGroup, ...]
    remark: str = ""


def render(usages: Iterable[Usage | UsageGroup], indent: str = "") -> Iterator[Row]:
    """The rows of usages; those of a group are indented below its title."""
    for usage in usages:
        if isinstance(usage, UsageGroup):
            yield f"{indent}{usage.title}", usage.remark
            yield from render(usage.usages, f"{indent}  ")
        else:
            yield f"{indent}{usage.kind.value}", _text(usage)


def location_in_file(location: Place) -> str:
    """A location with the name of its file, without the folder."""
    return str(location).rsplit("/", 1)[-1]


def _text(usage: Usage) -> str:
    words = [
        ", ".join(usage.parts),
        f"as {usage.alias}" if usage.alias else "",
        f"({location_in_file(usage.location)})" if usage.location is not None else "",
    ]
    gate = str(usage.gate) if usage.gate != ALWAYS else ""
    clauses = [" ".join(filter(None, words)), usage.remark, gate]
    return ", ".join(filter(None, clauses)) or str(usage.gate)
