"""The section `ema`, and the moving averages that it names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from artschool.config.iterations import Iterations as IterationSet
from artschool.config.names import Name
from artschool.config.section import Section
from artschool.config.when import When
from artschool.registry.entries import EveryEntry
from artschool.registry.schedule import Schedule, UnitNumber, value_at
from artschool.registry.signature import NetworkName, UnitInterval
from artschool.registry.units import Interval, Iterations

Buffers = Literal["copy", "average", "own"]
"""What happens to the buffers of a moving average."""


class AverageSection(Section):
    """One moving average.

    Attributes:
        of: Network to average. null: the network that has the name of the entry. Components call the average of another
            network `<of>.<entry>`.
        decay: Decay of the average, 0 to 1: a number or a schedule. null: `ema.decay`.
        buffers: What happens to buffers, such as the statistics of batch norm. `copy`: those of the network. `average`:
            those with floating-point numbers are averaged too. `own`: the average runs in train mode while the network
            trains, and keeps the buffers that its own calls write.
        every: Interval, in iterations, at which the average moves: at multiples of this number, or with
            `{of: 3, at: 2}` at iterations 2, 5, 8, ..., whether or not the network changes there. null: at each
            iteration that changes the network.
        start: First iteration at which the average moves by its decay. Before it, the average equals the network.
    """

    of: NetworkName | None = None
    decay: UnitNumber | None = None
    buffers: Buffers = "copy"
    every: Interval | EveryEntry | None = None
    start: Iterations = 0


@dataclass(frozen=True)
class Average:
    """A moving average of the file, with its defaults filled in.

    Attributes:
        entry: Its name in `ema.networks`.
        of: The network that it follows.
    """

    entry: str
    of: str
    decay: float | Schedule
    buffers: Buffers = "copy"
    every: int | EveryEntry | None = None
    start: int = 0

    @property
    def name(self) -> str:
        """The name under which components call it: `gen.ema`, or `gen.slow` for an entry `slow` of `gen`."""
        return f"{self.of}.{'ema' if self.entry == self.of else self.entry}"

    @property
    def summary(self) -> str:
        """How it averages: `averaged with decay 0.999`, or `averaged as gen.slow with decay 0.9999`."""
        name = "" if self.entry == self.of else f" as {self.name}"
        start = f" from iteration {self.start}" if self.start else ""
        return f"averaged{name} with decay {self.decay:g}{self.interval}{start}"

    @property
    def interval(self) -> str:
        """` every 1,000 iterations`; empty if it moves whenever its network changes."""
        return "" if self.every is None else f" every {When.gated(0, None, self.every).cycle} iterations"

    @property
    def due(self) -> IterationSet | None:
        """The iterations at which it moves. None: those that change its network."""
        if self.every is None:
            return None
        return IterationSet.of([When(before=self.start - 1), When.gated(self.start, None, self.every)])

    def decay_at(self, iteration: int) -> float:
        """The decay at an iteration. With a decay of 0, the average equals the network."""
        return value_at(self.decay, iteration) if iteration >= self.start else 0.0


class EmaSection(Section):
    """Exponential moving averages of the weights of networks, updated at the end of iterations.

    Components can call an average as the network `<name>.ema`.

    Attributes:
        decay: Decay of the averages, 0 to 1: `ema = decay * ema + (1 - decay) * weights`. A number or a schedule.
        networks: Networks to average: a list, or a mapping from network to its own decay, or to a mapping with `decay`,
            `buffers`, `every` and `start`. With `of: gen`, an entry of any other name is one more average of `gen`.
    """

    decay: UnitNumber = 0.999
    networks: list[NetworkName] | dict[Name, UnitInterval | AverageSection]

    @property
    def averages(self) -> dict[str, Average]:
        """The averages by the names of their entries."""
        if isinstance(self.networks, list):
            return {name: Average(name, name, self.decay) for name in self.networks}
        return {name: self._average(name, given) for name, given in self.networks.items()}

    def _average(self, entry: str, given: float | AverageSection) -> Average:
        if not isinstance(given, AverageSection):
            return Average(entry, entry, given)
        decay = self.decay if given.decay is None else given.decay
        return Average(entry, given.of or entry, decay, given.buffers, given.every, given.start)
