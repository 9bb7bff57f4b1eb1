"""Writes `metrics.jsonl`: a JSON object for each logged iteration. Resuming a run adds no duplicates."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

from torch import Tensor

from artschool.engine.run_state import Record, RunState
from artschool.paths import exists
from artschool.storage.appended_file import AppendedFile
from artschool.storage.durable import committed_file, own_file, write_pieces


class JsonlLogger:
    """Appends every record. Non-finite numbers are written as text such as `"NaN"`: JSON cannot represent them."""

    def __init__(self) -> None:
        self._file: AppendedFile | None = None

    def start(self, run: RunState) -> None:
        """Remove records from `run.next_record` on, and open the file for appending."""
        path = run.folder / "metrics.jsonl"
        if exists(path):
            _cut(path, run.next_record)
        self._file = AppendedFile(path)

    def advance(self, run: RunState) -> None:
        """Ignored."""

    def log(self, record: Record) -> None:
        """Append a line."""
        assert self._file is not None
        line = json.dumps({name: json_number(value) for name, value in record.items()})
        self._file.append(f"{line}\n".encode())

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Ignored."""

    def note(self, message: str) -> None:
        """Ignored."""

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _cut(path: Path, iteration: int) -> None:
    """Remove the records from an iteration on, and incomplete ones. A line at a time: the file may be large."""
    size, is_prefix, is_dropped = 0, True, False
    with path.open("rb") as file:
        for line in file:
            if _is_before(line, iteration):
                size, is_prefix = size + len(line), is_prefix and not is_dropped
            else:
                is_dropped = True
    if is_prefix:
        own_file(path)
        os.truncate(path, size)  # Needs no room on the disk.
        return
    with path.open("rb") as file, committed_file(path) as temporary:
        write_pieces(temporary, size, (line for line in file if _is_before(line, iteration)))


def _is_before(line: bytes, iteration: int) -> bool:
    try:
        return line.endswith(b"\n") and int(json.loads(line)["iteration"]) < iteration
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return False  # An incomplete line, from a killed process, or a damaged one.


def json_number(value: float) -> float | str:
    """The number, or text if it is NaN or infinite, which JSON cannot represent."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
