"""Reads a file of JSON lines again and again while a run writes it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from artschool.paths import open_file, read_file

Curve = tuple[list[int], list[float]]
"""Iterations, counted from 0, and a value for each."""
METRICS = "metrics.jsonl"
"""The log of a run folder."""
HEAD = ("samples", "seconds")
"""Numbers of the log that say how far a run is."""
MOST_KEPT = 100_000
"""Points of a curve from which on it is thinned, so that a log of any size takes little memory."""


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines. Nothing if it cannot be read; lines that are no objects are left out."""
    with suppress(OSError):
        yield from filter(None, map(_object, read_file(path).splitlines()))


@dataclass
class Log:
    """The numbers of `metrics.jsonl`.

    A call of `update` reads what has been added. A file that a resume has cut is read again from the beginning.

    Attributes:
        curves: The values of each number, thinned if there are many. A resume repeats iterations: the last value of an
            iteration counts.
        bad_lines: Number of complete lines that are no records.
    """

    path: Path
    curves: dict[str, Curve] = field(default_factory=dict)
    bad_lines: int = 0
    _end: int = 0
    _last: bytes = b""

    @property
    def iterations(self) -> list[int]:
        """The iterations of all records, ascending."""
        return self.curves.get("seconds", ([], []))[0]

    @property
    def finished(self) -> int:
        """The number of finished iterations that the log knows of."""
        return self.iterations[-1] + 1 if self.iterations else 0

    def update(self) -> None:
        """Read the lines that have been added since the last call. A last line without an end is left for the next."""
        try:
            with open_file(self.path) as file:
                file.seek(max(self._end - len(self._last), 0))
                if file.read(len(self._last)) != self._last:
                    self.curves, self.bad_lines, self._end, self._last = {}, 0, 0, b""
                    file.seek(0)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._add(line)
                    self._last = line
                    self._end += len(line)
        except OSError:
            return

    def _add(self, line: bytes) -> None:
        record = _object(line) or {}
        iteration = record.pop("iteration", None)
        if not isinstance(iteration, int):
            self.bad_lines += 1
            return
        if self.iterations and iteration <= self.iterations[-1]:
            self._cut(iteration)
        for name, value in ({"seconds": math.nan} | record).items():
            if (number := as_number(value)) is not None:
                iterations, values = curve = self.curves.setdefault(name, ([], []))
                iterations.append(iteration)
                values.append(number)
                if len(values) >= MOST_KEPT:
                    self.curves[name] = thinned(curve, MOST_KEPT // 2)

    def _cut(self, iteration: int) -> None:
        """Drop the values of an iteration and of later ones."""
        for iterations, values in self.curves.values():
            while iterations and iterations[-1] >= iteration:
                iterations.pop()
                values.pop()


def as_number(value: object) -> float | None:
    """A number of a log, which writes NaN and infinities as text. None: it is no number."""
    if type(value) is float:
        return value
    is_text = isinstance(value, str) and value not in ("NaN", "Infinity", "-Infinity")
    if is_text or isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def thinned(curve: Curve, most: int) -> Curve:
    """At most about `most` points of a curve: of each stretch, the smallest, the largest and the first that is NaN or
    infinite, and the last of all."""
    iterations, values = curve
    if len(values) <= most:
        return curve
    width = math.ceil(2 * len(values) / most)
    stretches = np.zeros((math.ceil(len(values) / width), width))
    there = np.zeros(stretches.shape, dtype=bool)
    stretches.ravel()[: len(values)], there.ravel()[: len(values)] = values, True
    sound = np.isfinite(stretches)
    smallest = np.where(sound & there, stretches, np.inf).argmin(axis=1)
    largest = np.where(sound & there, stretches, -np.inf).argmax(axis=1)
    first_bad = np.where(sound.all(axis=1), smallest, (~sound).argmax(axis=1))
    starts = np.arange(len(stretches)) * width
    found = [starts + place for place in (smallest, largest, first_bad)]
    chosen = np.unique([*np.concatenate(found), len(values) - 1]).tolist()
    return [iterations[index] for index in chosen], [values[index] for index in chosen]


def _object(line: bytes) -> dict[str, Any] | None:
    with suppress(ValueError, RecursionError):
        found = json.loads(line)
        return found if isinstance(found, dict) else None
    return None
