"""Undoes an iteration that has failed before its first update, so that the one before it can be saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from artschool.engine.identities import Identities
from artschool.engine.meters import Meters
from artschool.engine.streams import Streams
from artschool.engine.train_context import TrainContext

SMALL_BYTES = 64 * 2**10
"""Maximum size of a buffer that is always copied: torch does not count the changes of statistics of batch norm."""
MOST_BYTES = 16 * 2**20
"""Maximum size of a buffer that is copied once it has changed. Larger ones, such as long queues, are not restored."""


class _Kept(NamedTuple):
    """A buffer as it was when an iteration began. `copy` has its values, if it is small or may change in place."""

    buffer: Tensor
    version: int
    copy: Tensor | None = None


class Undo:
    """Remembers what an iteration changes before its first update: positions in the data, numbers and buffers.

    Args:
        modules: Everything with buffers that the steps of an iteration may change, by name.
    """

    def __init__(
        self, modules: Mapping[str, nn.Module], streams: Streams, meters: Meters, context: TrainContext
    ) -> None:
        self._streams, self._meters, self._context = streams, meters, context
        self._given: dict[str, int] = {}
        self._tables = {
            f"{owner}.{path}" if path else owner: part._buffers
            for owner, module in modules.items()
            for path, part in module.named_modules()
        }
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._uncopied: list[_Kept] = []
        self._choose()
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

    @torch.no_grad()
    def undo(self, finished: int) -> list[str]:
        """Return to the state after so many finished iterations. `is_whole` must be true.

        Returns:
            The names of the buffers that could not be restored.
        """
        if finished != self._iteration:
            return []
        self._streams.go_to(self._given)
        self._meters.back_to_mark()
        lost = []
        for (path, name), (buffer, version, copy) in self._kept.items():
            self._tables[path][name] = buffer
            if copy is not None:
                buffer.copy_(copy)
            elif buffer._version != version:
                lost.append(f"{path}.{name}")
        return lost

    @torch.no_grad()
    def _keep_buffers(self) -> None:
        """Copy the buffers that are small or change. Those of most iterations are the ones of the iteration before."""
        if self._identities.changed() or any(buffer._version != version for buffer, version, _ in self._uncopied):
            self._choose()
        if self._copied:
            torch._foreach_copy_(self._copies, self._copied)

    def _choose(self) -> None:
        """Decide which buffers are copied, and make room for their copies."""
        before, self._kept = self._kept, {}
        for key, buffer in self._buffers():
            kept = before.get(key)
            same = kept if kept is not None and kept.buffer is buffer else None
            self._kept[key] = _Kept(buffer, buffer._version, _room_for_copy(buffer, same))
        self._uncopied = [kept for kept in self._kept.values() if kept.copy is None]
        pairs = [(kept.copy, kept.buffer) for kept in self._kept.values() if kept.copy is not None]
        self._copies, self._copied = [copy for copy, _ in pairs], [buffer for _, buffer in pairs]
        self._identities = Identities(self._tables.values())

    def _buffers(self) -> Iterable[tuple[tuple[str, str], Tensor]]:
        return (
            ((path, name), buffer)
            for path, table in self._tables.items()
            for name, buffer in table.items()
            if buffer is not None
        )


def _room_for_copy(buffer: Tensor, before: _Kept | None) -> Tensor | None:
    """Where a buffer is copied to, given what was kept of it in the last iteration. None: it is not copied."""
    if before is not None and before.copy is not None:
        return before.copy
    has_changed = before is not None and before.version != buffer._version
    is_copied = buffer.nbytes <= (MOST_BYTES if has_changed else SMALL_BYTES)
    return torch.empty_like(buffer) if is_copied else None
