"""Restores what a forward pass has written to buffers if the update that follows is skipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import chain
from operator import attrgetter

import torch
from torch import Tensor, nn

from artschool.engine.buffers import Buffers, Copies
from artschool.engine.real_view import can_be_non_finite

_version = attrgetter("_version")


class KeptBuffers:
    """Copies of the buffers of modules, from before a step. They follow each step that is not skipped, on the device.

    A batch with NaN would otherwise stay in running statistics, queues and codebooks for the rest of the run. Only the
    parts of modules that are in train mode are copied: others change no buffers.

    Args:
        modules: By name. Each is copied as a whole if a buffer of it changes: not every operation marks what it has
            changed.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self._modules = modules

    def begin(self) -> None:
        """Call this before a step. What has changed outside of steps is kept."""
        groups = self._groups.values()  # The first step makes the copies, before anything has changed.
        if self._any.has_changed():
            for group in groups:
                group.follow()
            self._any.look()

    def settle(self, skipped: Tensor | None) -> None:
        """Call this after a step. Buffers are restored if one has become NaN or infinite, or the update is skipped.

        Does not wait for the device, unless a buffer was added or has another shape.

        Args:
            skipped: A scalar on the device: 1.0 if the update was skipped, else 0.0. None: nothing has looked.
        """
        if self._any.has_changed():
            for group in self._groups.values():
                if group.watch.has_changed():
                    group.choose(skipped)
            self._any.look()

    def spoiled(self) -> dict[str, int]:
        """How often the buffers of a module were restored after an update that was not skipped, since the last call.

        Waits for the device. Modules of which none was restored are not in the result.
        """
        counts = {name: group.take_count() for name, group in self._groups.items()}
        return {name: count for name, count in counts.items() if count}

    @cached_property
    def _groups(self) -> dict[str, _Group]:
        groups = {name: _Group(module) for name, module in self._modules.items()}
        return {name: group for name, group in groups.items() if group.watch.buffers.tables}

    @cached_property
    def _any(self) -> _Watch:
        # After most steps of most networks, this is all that has to be looked at.
        return _Watch(self._modules.values())


class _Watch:
    """Notices that buffers were written, added, removed or replaced. Reads no values.

    Attributes:
        buffers: Those of some modules.
        tensors: Those that have values to be copied.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.buffers = Buffers(modules, in_training=True)
        self.observe()

    def observe(self) -> None:
        """Remember which tensors they are, and what is in them."""
        self.tensors = [tensor for tensor in self.buffers.observe() if not tensor.requires_grad]
        self._seen = self._versions()

    def look(self) -> None:
        """Remember what is in them, and which tensors they are if that has changed."""
        if self.buffers.changed():
            self.observe()
        else:
            self._seen = self._versions()

    def has_changed(self) -> bool:
        return self._versions() != self._seen or self.buffers.changed()

    def _versions(self) -> list[int]:
        return list(map(_version, self.tensors))


class _Group:
    """The buffers of a module."""

    def __init__(self, module: nn.Module) -> None:
        self.watch = _Watch([module])
        self._spoiled: Tensor | int = 0
        self._copy()

    def take_count(self) -> int:
        count, self._spoiled = int(self._spoiled), 0
        return count

    def _copy(self) -> None:
        self._before, self._after = Copies(self.watch.tensors), Copies(self.watch.tensors)

    def follow(self) -> None:
        if self.watch.buffers.changed():
            self.watch.observe()
            self._copy()
        elif self.watch.has_changed():
            self.watch.look()
            self._before.read()

    @torch.no_grad()
    def choose(self, skipped: Tensor | None) -> None:
        self._after.read()
        bad = self._has_become_bad()
        if skipped is not None:
            is_skipped = skipped > 0
            self._spoiled = self._spoiled + (bad > is_skipped)
            bad = bad | is_skipped
        for was, now in self._pieces():
            torch.where(bad.to(was.device), was, now, out=was)
        self._before.write()
        is_replaced = self.watch.buffers.changed()
        if is_replaced:
            self._choose_objects(bad)
        self.watch.look()
        if is_replaced:
            self._copy()

    def _pieces(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self._before.pieces, self._after.pieces, strict=True)

    def _has_become_bad(self) -> Tensor:
        replaced = ((was, now) for *_, was, now in self.watch.buffers.replaced() if _is_same_kind(was, now))
        both = [*chain(self._pieces(), replaced)]
        flags = [(was.isfinite() & ~now.isfinite()).any() for was, now in both if can_be_non_finite(now)]
        if flags:
            return torch.stack(flags).any() if len(flags) > 1 else flags[0]
        # On the device: to move it there would wait.
        return torch.zeros((), dtype=torch.bool, device=both[0][1].device if both else None)

    def _choose_objects(self, bad: Tensor) -> None:
        """Of each buffer that was replaced by a new object, choose the one before or the new one."""
        for table, name, was, now in self.watch.buffers.replaced():
            if _is_same_kind(was, now):
                if not now.requires_grad:
                    table[name] = torch.where(bad.to(now.device), was, now)
            elif bad:
                table[name] = was
                if was is None:
                    del table[name]


def _is_same_kind(was: Tensor | None, now: Tensor | None) -> bool:
    return was is not None and now is not None and _kind(was) == _kind(now)


def _kind(tensor: Tensor) -> tuple[object, ...]:
    return tensor.shape, tensor.dtype, tensor.device
