"""What a trace found: keys, gradients and memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from artschool.trace.observe import Reach, TracedKey


@dataclass
class Memory:
    """Bytes that training takes on its device, in one process.

    Attributes:
        lasting: What is there all the time, by kind: parameters, buffers, averages, optimizer state.
        steps: What is there at the peak of each step besides, by kind: gradients, activations.
    """

    lasting: Counter[str] = field(default_factory=Counter)
    steps: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def peak(self) -> int:
        """The most in all."""
        return self.lasting.total() + max((step.total() for step in self.steps.values()), default=0)


@dataclass
class Trace:
    """What happens in each regime of a run.

    Attributes:
        regimes: The iterations that were traced.
        keys: What training writes, by key.
        evaluations: What evaluations write, by evaluation and key.
        reached: Which parameters each loss gives a gradient, by the path of the loss.
        networks: The networks, with parameters without values unless `real`.
        real: Whether micro-batches ran for real, since something needs values.
        notes: What could not be traced.
        checkpoint: Bytes of one checkpoint.
        kept: How many checkpoints there are at once.
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
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.3g} TB"
