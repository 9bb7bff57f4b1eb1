"""What a trace found: keys, gradients and memory."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from artschool.trace.gradients import Reach
from artschool.trace.keys import TracedKey
from artschool.trace.memory import Memory


@dataclass
class Trace:
    """What happens in each regime of a run.

    Attributes:
        regimes: The iterations that were traced.
        keys: What training writes, by key.
        evaluations: What evaluations write, by evaluation and key.
        reached: Which parameters each loss gives a gradient, by the path of the loss.
        networks: The networks, with parameters without values unless `real`.
        checkpoint: Bytes of one checkpoint.
        kept: How many checkpoints there are at once.
        real: Whether micro-batches ran for real, since something needs values.
        notes: What could not be traced.
    """

    regimes: list[int]
    keys: Mapping[str, TracedKey]
    evaluations: Mapping[str, Mapping[str, TracedKey]]
    reached: Mapping[str, Reach]
    networks: Mapping[str, nn.Module]
    memory: Memory
    checkpoint: int
    kept: int
    real: bool
    notes: list[str]

    @property
    def summary(self) -> str:
        """In one line."""
        number = len(self.regimes)
        return (
            f"{number} regime{'s' if number > 1 else ''}; training takes about {in_bytes(self.memory.peak)} of memory, "
            f"{self.kept} checkpoint{'s' if self.kept > 1 else ''} of {in_bytes(self.checkpoint)}"
        )

    def warning_of_disk(self, folder: Path) -> str:
        """What to say where the checkpoints do not fit on the disk of a folder, which need not exist yet."""
        needed, free = self.checkpoint * self.kept, free_bytes(folder)
        if needed <= free:
            return ""
        return (
            f"{self.kept} checkpoints take {in_bytes(needed)}, and {folder} has {in_bytes(free)} left; "
            "lower `checkpoint.keep_last`, or choose another --run-dir"
        )


def free_bytes(folder: Path) -> int:
    """What is left on the disk where a folder is, or will be."""
    folder = folder.absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    return shutil.disk_usage(there).free


def in_bytes(number: float) -> str:
    """A number of bytes for people: `28.9 MB`."""
    if number < 1000:
        return f"{number:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 999.5:
            return f"{number:.3g} {unit}"
    return f"{number / 1000:,.3g} TB"
