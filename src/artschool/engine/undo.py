"""Undoes an iteration that has failed before its first update, so that the one before it can be saved."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from artschool import ranks
from artschool.engine.buffers import Buffers, Copies
from artschool.engine.meters import Meters
from artschool.engine.streams import Streams
from artschool.engine.train_context import TrainContext

SMALL_BYTES = 64 * 2**10
"""Maximum size of a buffer that is always copied: torch does not count the changes of statistics of batch norm."""
MOST_BYTES = 16 * 2**20
"""Maximum size of a buffer that is copied once it has changed. Larger ones, such as long queues, are not restored."""


class Undo:
    """Remembers what an iteration changes before its first update: positions in the data, numbers and buffers.

    `KeptBuffers` is for what comes after it: an update that is skipped.

    Args:
        modules: Everything with buffers that the steps of an iteration may change, by name.
    """

    def __init__(
        self, modules: Mapping[str, nn.Module], streams: Streams, meters: Meters, context: TrainContext
    ) -> None:
        self._modules, self._streams, self._meters, self._context = modules, streams, meters, context
        self._given: dict[str, int] = {}
        self._buffers = Buffers(modules.values())
        self._copies = Copies(())
        self._uncopied: dict[Tensor, int] = {}
        self._changing: set[Tensor] = set()
        self._iteration = -1

    def begin(self, iteration: int) -> None:
        """Remember the state before an iteration, which begins now. Does not wait for the device."""
        self._iteration = iteration
        self._context.has_updated = False
        self._given = self._streams.given
        self._meters.mark()
        self._keep_buffers()

    def is_whole(self, finished: int) -> bool:
        """Whether nothing has been updated since the last of so many finished iterations."""
        return finished != self._iteration or not self._context.has_updated

    def undo(self, finished: int) -> list[str]:
        """Return to the state after so many finished iterations. `is_whole` must be true.

        Returns:
            The names of the buffers that could not be restored.
        """
        if finished != self._iteration:
            return []
        self._streams.go_to(self._given)
        self._meters.back_to_mark()
        self._buffers.put_back()
        self._copies.write()
        lost = self._changed_since_begin()
        named = (pair for owner, module in self._modules.items() for pair in module.named_buffers(owner))
        return [name for name, buffer in named if ranks.local(buffer) in lost]

    def _keep_buffers(self) -> None:
        """Copy the buffers that are small or change. Those of most iterations are the ones of the iteration before."""
        changed = self._changed_since_begin()
        if self._buffers.changed() or (changed and any(buffer.nbytes <= MOST_BYTES for buffer in changed)):
            self._choose(changed)
        elif changed:
            self._uncopied = {buffer: buffer._version for buffer in self._uncopied}
        self._copies.read()

    def _changed_since_begin(self) -> set[Tensor]:
        return {buffer for buffer, version in self._uncopied.items() if buffer._version != version}

    def _choose(self, changed: set[Tensor]) -> None:
        """Decide which buffers are copied. Those that have changed once may be large."""
        buffers = self._buffers.observe()
        self._changing = (self._changing | changed).intersection(buffers)
        limits = {buffer: MOST_BYTES if buffer in self._changing else SMALL_BYTES for buffer in buffers}
        self._copies = Copies(buffer for buffer, limit in limits.items() if buffer.nbytes <= limit)
        self._uncopied = {buffer: buffer._version for buffer, limit in limits.items() if buffer.nbytes > limit}
