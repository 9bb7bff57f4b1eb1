"""The batch of an iteration or of a step, cut into micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch

from artschool import ranks
from artschool.data.collate import cut_sizes, micro_batches, size_of
from artschool.data.to_device import to_device
from artschool.engine.pieces import pieces_of
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
        parts: What this process has of the batches, by stream.
        limit: Maximum number of micro-batches of this process. The same on every process, so that losses that
            communicate between processes do not deadlock.
        pieces: Into how many of them each micro-batch has been cut.
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
        self.parts = parts
        self._count = count
        self._device = device
        self._take = take
        self._channels_last = channels_last
        self._states: list[tuple[State, float]] = []
        self.pieces = 1
        self.limit = 1 if count == 1 else min(count, self._fewest)

    @property
    def _fewest(self) -> int:
        return max(1, min(part.total for part in self.parts.values()) // ranks.world_size())

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
        return self.cut(self.pieces)

    def most_pieces(self, number: int) -> int:
        """The largest power of two, up to `number`, of pieces into which every micro-batch can be cut.

        Each piece has at least one sample. The same on every process.
        """
        smallest = self._fewest // (self.limit // self.pieces)
        return min(number, 1 << smallest.bit_length() - 1)

    def cut(self, pieces: int) -> MicroBatches:
        """These micro-batches in states of their own, cut until each original one is in so many pieces.

        What is written to the new states is not in these, until `adopt`. Those in more pieces already stay as they are.

        Args:
            pieces: A result of `most_pieces`.

        Raises:
            ResourceError: A value that a component has written cannot be cut.
        """
        other = MicroBatches(self.parts, self._count, self._device, self._take, channels_last=self._channels_last)
        factor = max(1, pieces // self.pieces)
        other.pieces, other.limit = self.pieces * factor, self.limit * factor
        shares = other._shares(next(iter(self.parts)))
        other._states = [*zip(self._cut(factor), shares, strict=True)]
        return other

    def adopt(self, other: MicroBatches) -> None:
        """Become a result of `cut`, with everything that was written to it."""
        self._states, self.pieces, self.limit = other._states, other.pieces, other.limit

    def _cut(self, count: int) -> Iterator[State]:
        given = {key for part in self.parts.values() for key in part.values}
        sizes = [self._sizes(part) for part in self.parts.values()]
        for (state, _), own in zip(self, zip(*sizes, strict=True), strict=True):
            if count == 1:
                yield state.copy()
                continue
            cut = {key: pieces_of(key, value, own, count, key in given) for key, value in state.values.items()}
            for index in range(count):
                piece = state.copy()
                piece.index = state.index * count + index
                piece.values.update({key: values[index] for key, values in cut.items()})
                yield piece

    def ratios(self) -> Iterator[Mapping[str, float]]:
        """For each micro-batch, the share of it that a stream has, divided by that of the first stream."""
        by_stream = {name: self._shares(name) for name in self.parts}
        for index in range(self.limit):
            shares = {name: shares[index] for name, shares in by_stream.items()}
            first = next(iter(shares.values()))
            yield {name: share / first for name, share in shares.items()}

    def _shares(self, stream: str) -> list[float]:
        """The samples of each micro-batch, divided by those of the whole batch."""
        part = self.parts[stream]
        return [size / part.total for size in self._sizes(part)]

    def _sizes(self, part: Part) -> list[int]:
        """The number of samples of each micro-batch."""
        whole = cut_sizes(size_of(part.values), self.limit // self.pieces)
        return [size for micro_batch in whole for size in cut_sizes(micro_batch, self.pieces)]

    def _moved(self) -> Iterable[tuple[State, float]]:
        cut = {name: micro_batches(part.values, self.limit) for name, part in self.parts.items()}
        states: list[tuple[State, float]] = []
        for index, pieces in enumerate(zip(*cut.values(), strict=True)):
            state: State | None = None
            share = 1.0
            for (name, part), (values, size) in zip(self.parts.items(), pieces, strict=True):
                moved = to_device(values, self._device, channels_last=self._channels_last)
                if state is None:
                    state, share = State(moved, f"data.{name}", index), size / part.total
                    continue
                for key, value in moved.items():
                    state.write(key, value, writer=f"data.{name}")
            assert state is not None
            states.append((state, share))
            yield state, share
        self._states = states  # Only now: a partial list would be taken for the complete one.

    @property
    def first(self) -> State:
        """The state of the first micro-batch."""
        return (self._states or list(self))[0][0]
