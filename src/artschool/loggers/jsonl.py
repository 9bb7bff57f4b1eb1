"""`metrics.jsonl`: one JSON object a line, each iteration at most once, also over resumes."""

from __future__ import annotations

import json
import math
from typing import TextIO

from torch import Tensor

from artschool.engine.run_state import Record, RunState
from artschool.storage.durable import write_file


class JsonlLogger:
    """Appends every record. A number that is not finite is written as text, `"NaN"`, since JSON has no other way."""

    def __init__(self) -> None:
        self._file: TextIO | None = None

    def start(self, run: RunState) -> None:
        """Drop what was logged after the iteration that the run goes on from, and append from there."""
        path = run.folder / "metrics.jsonl"
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if _is_before(line, run.iteration)]
            write_file(path, "".join(f"{line}\n" for line in kept).encode())
        self._file = path.open("a", buffering=1)

    def advance(self, run: RunState) -> None:
        """Nothing to do."""

    def log(self, record: Record) -> None:
        """Write a line."""
        assert self._file is not None
        self._file.write(json.dumps({name: json_number(value) for name, value in record.items()}) + "\n")

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Nothing: numbers only."""

    def note(self, message: str) -> None:
        """Nothing: numbers only."""

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _is_before(line: str, iteration: int) -> bool:
    try:
        return int(json.loads(line)["iteration"]) < iteration
    except (ValueError, KeyError, TypeError):
        return False  # A line that a kill cut short.


def json_number(value: float) -> float | str:
    """A number as it is, and text for what JSON has no number for."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
