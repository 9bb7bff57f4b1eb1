"""Writes `metrics.jsonl`: a JSON object for each logged iteration. Resuming a run adds no duplicates."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

from artschool.engine.logger import Record
from artschool.engine.run_state import RunState
from artschool.paths import exists
from artschool.storage.appended_file import AppendedFile
from artschool.storage.durable import committed_file, own_file, write_pieces
from artschool.wording.counting import counted


class JsonlLogger:
    """Appends every record. Non-finite numbers are written as text such as `"NaN"`: JSON cannot represent them."""

    def __init__(self) -> None:
        self._file: AppendedFile | None = None

    def start(self, run: RunState) -> None:
        """Remove records from `run.next_record` on, and open the file for appending."""
        path = run.folder / "metrics.jsonl"
        if exists(path):
            damaged = _cut(path, run.next_record)
            if damaged:
                run.note(f"warning: {path}: removed what cannot be read: {counted(damaged, 'line')}")
        self._file = AppendedFile(path)

    def log(self, record: Record) -> None:
        """Append a line."""
        assert self._file is not None
        line = json.dumps({name: json_number(value) for name, value in record.items()})
        self._file.append(f"{line}\n".encode())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _cut(path: Path, iteration: int) -> int:
    """Remove the records from an iteration on, and what is no record. A line at a time: the file may be large.

    Returns:
        The number of whole lines that are no records.
    """
    size, is_prefix, is_dropped, damaged = 0, True, False, 0
    with path.open("rb") as file:
        for line in file:
            if (at := _iteration(line)) is not None and at < iteration:
                size, is_prefix = size + len(line), is_prefix and not is_dropped
            else:
                is_dropped = True
                damaged += at is None and line.endswith(b"\n")  # A process that was killed leaves half a line.
    if is_prefix:
        own_file(path)
        os.truncate(path, size)  # Needs no room on the disk.
        return damaged
    with path.open("rb") as file, committed_file(path) as temporary:
        kept = (line for line in file if (at := _iteration(line)) is not None and at < iteration)
        write_pieces(temporary, size, kept)
    return damaged


def _iteration(line: bytes) -> int | None:
    """The iteration of a record. None: the line is incomplete or damaged."""
    try:
        return int(json.loads(line)["iteration"]) if line.endswith(b"\n") else None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def json_number(value: float) -> float | str:
    """The number, or text if it is NaN or infinite, which JSON cannot represent."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
