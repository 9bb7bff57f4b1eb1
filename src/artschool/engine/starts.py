"""Writes `starts.jsonl`: when, where and with which settings a run has started and resumed."""

from __future__ import annotations

import json
import platform
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from artschool import ranks
from artschool.engine.run_state import RunState
from artschool.release import versions
from artschool.storage.appended_file import AppendedFile
from artschool.wording.hidden import without_hidden

FILE = "starts.jsonl"


def record_start(run: RunState) -> None:
    """Append a line about a training that starts now.

    Raises:
        ResourceError: The disk is full or cannot be written.
    """
    path = run.folder / FILE
    record = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "iteration": run.iteration,
        "iterations": run.iterations,
        "environment": _environment(run),
        "settings": run.settings,
    }
    file = AppendedFile(path)
    try:
        file.append(f"{_end_of_half_line(path)}{without_hidden(json.dumps(record))}\n".encode())
    finally:
        file.close()


def _environment(run: RunState) -> dict[str, Any]:
    is_cuda = run.device.type == "cuda"
    return {
        **versions(),
        "cuda": torch.version.cuda,
        "device": torch.cuda.get_device_name(run.device) if is_cuda else str(run.device),
        "processes": ranks.world_size(),
        "precision": run.sections.train.precision,
        "host": socket.gethostname(),
        "system": platform.platform(),
    }


def _end_of_half_line(path: Path) -> str:
    """What ends the line that a process has left half written when the power failed. Empty: there is none."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - 1, 0))
        return "\n" if file.read(1) not in (b"", b"\n") else ""
