"""Where the time of a run went, by its log."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any

from artschool.show.log import Curve

FEWEST = 3
"""Minimum number of log points whose pace is known."""


def times(seconds: Curve, evaluated: Collection[int]) -> list[dict[str, Any]]:
    """The parts of the training time: name and seconds. Empty: too few log points.

    The usual pace is the median of all stretches between two log points. What a stretch takes longer than that is time
    of what followed its first log point, such as an evaluation.

    Args:
        seconds: Training time at each log point.
        evaluated: The iterations with numbers of an evaluation.
    """
    stretches = [
        (first, last - first, after - before)
        for (first, before), (last, after) in pairwise(zip(*seconds, strict=True))
        if math.isfinite(after - before) and after >= before
    ]
    if len(stretches) < FEWEST:
        return []
    usual = statistics.median(taken / count for _, count, taken in stretches)
    more = [(first, taken - usual * count) for first, count, taken in stretches]
    extra = {first: surplus for first, surplus in more if surplus > 0}
    evaluations = sum(surplus for first, surplus in extra.items() if first in evaluated)
    begin = seconds[1][0] if math.isfinite(seconds[1][0]) else 0.0
    rest = sum(extra.values()) - evaluations
    total = begin + sum(taken for *_, taken in stretches)
    return [
        {"name": "iterations at the usual pace", "seconds": total - begin - rest - evaluations},
        {"name": "evaluations, and what else was due with them", "seconds": evaluations},
        {"name": "other slow stretches, such as checkpoints", "seconds": rest},
        {"name": "until the first log point", "seconds": begin},
    ]


def profiled(profile: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of what `artschool profile --json` prints: name, depth and seconds of an iteration."""
    parts = profile.get("parts")
    return list(_flat(parts, 0)) if isinstance(parts, dict) else []


def _flat(part: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    seconds, inner = part.get("seconds"), part.get("parts")
    if isinstance(seconds, int | float):
        yield {"name": str(part.get("name", "")), "depth": depth, "seconds": seconds}
    if isinstance(inner, list) and depth < 3:
        for each in inner:
            if isinstance(each, dict):
                yield from _flat(each, depth + 1)
