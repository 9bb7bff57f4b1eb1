"""The batch of an iteration or of a step, cut into micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch

from artschool import ranks
from artschool.data.collate import micro_batches, size_of
from artschool.data.to_device import to_device
from artschool.engine.streams import Part
from artschool.steps.state import State

Take = Callable[[Sequence[str]], Mapping[str, Part]]
"""Takes a fresh batch of each of some streams."""


class MicroBatches:
    """The micro-batches of a batch, as states. Every step runs on each of them.

    Iterating yields each state with its share: its samples divided by the total of the first part, the weight of its
    loss. A micro-batch moves to the device when the first step reaches it. Each part is cut by its own size.

    Args:
        parts: What this process has of the batches, by stream.
        count: Maximum number of micro-batches.
        take: Takes batches for `fresh`.
        channels_last: Whether images get this memory format.

    Attributes:
        limit: Maximum number of micro-batches of this process. The same on every process, so that losses that
            communicate between processes do not deadlock.
    """

    def __init__(
        self,
        parts: Mapping[str, Part],
        count: int,
        device: torch.device,
        take: Take | None = None,
        *,
        channels_last: bool = False,
    ) -> None:
        self._parts = parts
        self._count = count
        self._device = device
        self._take = take
        self._channels_last = channels_last
        self._states: list[tuple[State, float]] = []
        fewest = min(part.total for part in parts.values())
        self.limit = 1 if count == 1 else min(count, max(1, fewest // ranks.world_size()))

    def __iter__(self) -> Iterator[tuple[State, float]]:
        return iter(self._states or self._moved())

    def fresh(self, streams: Sequence[str]) -> MicroBatches:
        """The micro-batches of the next batch of each of some streams."""
        assert self._take is not None
        return MicroBatches(
            self._take(streams), self._count, self._device, self._take, channels_last=self._channels_last
        )

    def copy(self) -> MicroBatches:
        """The same micro-batches in states of their own, which can be written without changing these."""
        other = MicroBatches(self._parts, self._count, self._device, self._take, channels_last=self._channels_last)
        other._states = [(state.copy(), share) for state, share in self]
        return other

    def ratios(self) -> Iterator[Mapping[str, float]]:
        """For each micro-batch, the share of it that a stream has, divided by that of the first stream."""
        for index in range(self.limit):
            shares = {name: _share(part, index, self.limit) for name, part in self._parts.items()}
            first = next(iter(shares.values()))
            yield {name: share / first for name, share in shares.items()}

    def _moved(self) -> Iterable[tuple[State, float]]:
        cut = {name: micro_batches(part.values, self.limit) for name, part in self._parts.items()}
        for index, pieces in enumerate(zip(*cut.values(), strict=True)):
            state: State | None = None
            share = 1.0
            for (name, part), (values, size) in zip(self._parts.items(), pieces, strict=True):
                moved = to_device(values, self._device, channels_last=self._channels_last)
                if state is None:
                    state, share = State(moved, f"data.{name}", index), size / part.total
                    continue
                for key, value in moved.items():
                    state.write(key, value, writer=f"data.{name}")
            assert state is not None
            self._states.append((state, share))
            yield state, share

    @property
    def first(self) -> State:
        """The state of the first micro-batch."""
        # Create all states: a partial list would be taken for the complete one.
        return (self._states or list(self))[0][0]


def _share(part: Part, index: int, count: int) -> float:
    """The samples of one of `count` micro-batches, divided by those of the whole batch."""
    size = size_of(part.values)
    return ((index + 1) * size // count - index * size // count) / part.total
