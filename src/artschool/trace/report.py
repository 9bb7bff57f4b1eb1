"""What a trace found: keys, gradients and memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from artschool.trace.memory import Memory
from artschool.trace.observe import Reach, TracedKey


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
            f"a checkpoint {in_bytes(self.checkpoint)} of disk"
        )


def in_bytes(number: float) -> str:
    """A number of bytes for people: `28.9 MB`."""
    if number < 1000:
        return f"{number:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 999.5:
            return f"{number:.3g} {unit}"
    return f"{number / 1000:,.3g} TB"
