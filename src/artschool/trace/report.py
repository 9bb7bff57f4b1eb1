"""What a trace found: keys, gradients and memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from artschool.engine.room import free_bytes, in_bytes
from artschool.faults import Fault
from artschool.trace.gradients import Reach
from artschool.trace.keys import TracedKey
from artschool.trace.memory import Memory


@dataclass
class Trace:
    """The result of a trace.

    Attributes:
        regimes: The first iteration of each regime.
        keys: The keys that training writes.
        steps: The keys of each step that runs on batches of its own.
        evaluations: The keys that evaluations write, by evaluation and key.
        reached: The parameters that each loss gives a gradient, by the path of the loss.
        networks: The networks. Their parameters have no values unless `real`.
        memory: The memory that training takes in one process.
        processes: The number of processes that share a batch.
        checkpoint: Bytes of one checkpoint.
        kept: Number of checkpoints on disk at once.
        real: Whether micro-batches ran with values, since something needs them.
        notes: What could not be traced, or not be proven.
        warnings: Keys whose values hardly have the range that a component expects.
    """

    regimes: list[int]
    keys: Mapping[str, TracedKey]
    steps: Mapping[str, Mapping[str, TracedKey]]
    evaluations: Mapping[str, Mapping[str, TracedKey]]
    reached: Mapping[str, Reach]
    networks: Mapping[str, nn.Module]
    memory: Memory
    processes: int
    checkpoint: int
    kept: int
    real: bool
    notes: list[str]
    warnings: list[Fault] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The number of regimes, memory and checkpoints, in one line."""
        number, offloaded = len(self.regimes), self.memory.offloaded
        apart = f" and {in_bytes(offloaded)} of the CPU's" if offloaded else ""
        return (
            f"{number} regime{'s' if number > 1 else ''}; training takes about {in_bytes(self.memory.peak)} of memory"
            f"{apart}, "
            f"{self.kept} checkpoint{'s' if self.kept > 1 else ''} of {in_bytes(self.checkpoint)}"
        )

    def warning_of_disk(self, folder: Path) -> str:
        """A warning if the checkpoints do not fit on the disk of a folder; "" if they do. The folder need not exist."""
        needed, free = self.checkpoint * self.kept, free_bytes(folder)
        if needed <= free:
            return ""
        number = "1 checkpoint takes" if self.kept == 1 else f"{self.kept} checkpoints take"
        return (
            f"{number} {in_bytes(needed)}, but {folder} has only {in_bytes(free)} free; "
            "lower `checkpoint.keep_last`, or choose another --run-dir"
        )
