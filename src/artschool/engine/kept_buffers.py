"""Restores what a forward pass has written to buffers if the update that follows is skipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.engine.identities import Identities

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
        for group in self._groups.values():
            group.follow()

    @torch.no_grad()
    def settle(self, skipped: Tensor | None) -> None:
        """Call this after a step. Buffers are restored if one has become NaN or infinite, or the update is skipped.

        Does not wait for the device, unless a buffer was added or has another shape.

        Args:
            skipped: A scalar on the device: 1.0 if the update was skipped, else 0.0. None: nothing has looked.
        """
        for group in self._groups.values():
            if group.has_changed():
                group.choose(skipped)

    def spoiled(self) -> dict[str, int]:
        """How often the buffers of a module were restored after an update that was not skipped, since the last call.

        Waits for the device. Modules of which none was restored are not in the result.
        """
        counts = {name: group.take_count() for name, group in self._groups.items()}
        return {name: count for name, count in counts.items() if count}

    @cached_property
    def _groups(self) -> dict[str, _Group]:
        # At the first step, since lazy modules have no buffers before.
        groups = {name: _Group(module) for name, module in self._modules.items()}
        return {name: group for name, group in groups.items() if group.tables}


class _Group:
    """The buffers of a module."""

    def __init__(self, module: nn.Module) -> None:
        # Those of components are found even if they have no buffers yet; of networks, that would take too long.
        parts = [part for part in module.modules() if part.training]
        self.tables = [part._buffers for part in parts if part._buffers or part is module]
        self._spoiled: Tensor | int = 0
        self._match()

    def take_count(self) -> int:
        count, self._spoiled = int(self._spoiled), 0
        return count

    def _match(self) -> None:
        self._identities = Identities(self.tables)
        self._before = [dict(table) for table in self.tables]
        found = dict.fromkeys(tensor for table in self.tables for tensor in table.values() if tensor is not None)
        by_kind: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for tensor in map(ranks.local, found):
            if tensor.layout is torch.strided and not tensor.requires_grad:
                by_kind.setdefault((tensor.dtype, tensor.device), []).append(tensor)
        self._kept = [_Kept(tensors) for tensors in by_kind.values()]
        self._tensors = [tensor for tensors in by_kind.values() for tensor in tensors]
        self._seen = self._versions()

    def _versions(self) -> list[int]:
        return list(map(_version, self._tensors))

    def has_changed(self) -> bool:
        return self._versions() != self._seen or self._identities.changed()

    def follow(self) -> None:
        if self._identities.changed():
            self._match()
        elif (versions := self._versions()) != self._seen:
            self._seen = versions
            for kept in self._kept:
                kept.follow()

    def choose(self, skipped: Tensor | None) -> None:
        for kept in self._kept:
            kept.read()
        bad = self._has_become_bad()
        if skipped is not None:
            is_skipped = skipped > 0
            self._spoiled = self._spoiled + (bad > is_skipped)
            bad = bad | is_skipped
        for kept in self._kept:
            kept.choose(bad)
        if self._identities.changed():
            self._choose_objects(bad)
            self._match()
        else:
            self._seen = self._versions()

    def _has_become_bad(self) -> Tensor:
        both = [kept.both() for kept in self._kept] + [
            (was, now) for _, _, was, now in self._replaced() if _is_same_kind(was, now)
        ]
        flags = [(was.isfinite() & ~now.isfinite()).any() for was, now in both if _has_infinity(now)]
        return torch.stack(flags).any() if len(flags) > 1 else next(iter(flags), torch.zeros((), dtype=torch.bool))

    def _choose_objects(self, bad: Tensor) -> None:
        """Of each buffer that was replaced by a new object, choose the one before or the new one."""
        for table, name, was, now in self._replaced():
            if _is_same_kind(was, now):
                if not now.requires_grad:
                    table[name] = torch.where(bad.to(now.device), was, now)
            elif bad:
                table[name] = was
                if was is None:
                    del table[name]

    def _replaced(self) -> Iterator[tuple[dict[str, Any], str, Any, Any]]:
        for table, before in zip(self.tables, self._before, strict=True):
            for name in [*{**before, **table}]:
                was, now = before.get(name), table.get(name)
                if was is not now:
                    yield table, name, was, now


class _Kept:
    """Copies of tensors of one dtype on one device, in one piece of memory."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self._tensors = tensors
        self._values, self._copies = _like(tensors)
        self._new, self._reads = _like(tensors)
        self.follow()

    def follow(self) -> None:
        """Copy the tensors as they are."""
        with torch.no_grad():
            torch._foreach_copy_(self._copies, self._tensors)

    def read(self) -> None:
        """Read the tensors as they are after a step."""
        torch._foreach_copy_(self._reads, self._tensors)

    def both(self) -> tuple[Tensor, Tensor]:
        """The values of the copies, and those that were read."""
        return self._values, self._new

    def choose(self, bad: Tensor) -> None:
        """Give the tensors, and the copies, the values of the copies if `bad`, else those that were read."""
        torch.where(bad.to(self._values.device), self._values, self._new, out=self._values)
        torch._foreach_copy_(self._tensors, self._copies)


def _like(tensors: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Memory for the values of tensors, in one piece, and its parts."""
    memory = torch.empty(sum(map(Tensor.numel, tensors)), dtype=tensors[0].dtype, device=tensors[0].device)
    parts = torch.split(memory, [tensor.numel() for tensor in tensors])
    return memory, [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def _has_infinity(tensor: Tensor) -> bool:
    """Whether the dtype has NaN and infinity, and torch finds them."""
    return (tensor.is_floating_point() or tensor.is_complex()) and tensor.dtype.itemsize > 1


def _is_same_kind(was: Tensor | None, now: Tensor | None) -> bool:
    return was is not None and now is not None and _kind(was) == _kind(now)


def _kind(tensor: Tensor) -> tuple[object, ...]:
    return tensor.shape, tensor.dtype, tensor.device
