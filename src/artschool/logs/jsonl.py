"""Writes `metrics.jsonl`: a JSON object for each logged iteration. Resuming a run adds no duplicates."""

from __future__ import annotations

import json
import math
import os

from torch import Tensor

from artschool.engine.run_state import Record, RunState
from artschool.storage.durable import AppendedFile, write_file


class JsonlLogger:
    """Appends every record. Non-finite numbers are written as text such as `"NaN"`: JSON cannot represent them."""

    def __init__(self) -> None:
        self._file: AppendedFile | None = None

    def start(self, run: RunState) -> None:
        """Remove records from `run.next_record` on, and open the file for appending."""
        path = run.folder / "metrics.jsonl"
        if path.exists():
            before = path.read_bytes()
            kept = b"".join(line for line in before.splitlines(keepends=True) if _is_before(line, run.next_record))
            if before.startswith(kept):
                os.truncate(path, len(kept))  # Needs no room on the disk.
            else:
                write_file(path, kept)
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


def _is_before(line: bytes, iteration: int) -> bool:
    try:
        return line.endswith(b"\n") and int(json.loads(line)["iteration"]) < iteration
    except (ValueError, KeyError, TypeError):
        return False  # An incomplete line, from a killed process.


def json_number(value: float) -> float | str:
    """The number, or text if it is NaN or infinite, which JSON cannot represent."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
