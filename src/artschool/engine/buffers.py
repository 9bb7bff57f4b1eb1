"""The buffers of modules: which tensors they are, and copies of their values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from artschool import ranks
from artschool.engine.identities import Identities


class Buffers:
    """Which tensors the buffers of modules are.

    Args:
        modules: The modules. Their own buffers are found even if they have none yet, those of parts inside them only
            if they have some: to look at all parts of a network in each iteration would take too long.
        in_training: Look only at parts that are in train mode now.

    Attributes:
        tables: The dicts in which torch stores them.
    """

    def __init__(self, modules: Iterable[nn.Module], *, in_training: bool = False) -> None:
        roots = dict.fromkeys(modules)
        parts = dict.fromkeys(part for root in roots for part in root.modules() if part.training or not in_training)
        self.tables = [part._buffers for part in parts if part._buffers or part in roots]
        self._must_observe = bool(self.tables)

    def observe(self) -> list[Tensor]:
        """Remember which tensors they are now.

        Returns:
            Those that can be copied and written to, each once; of sharded ones, the part of this process. Not in it
            are expanded ones, sparse ones, those made in inference mode, and lazy ones that have no shape yet.
        """
        self._identities = Identities(self.tables)
        self._before = [dict(table) for table in self.tables]
        found = dict.fromkeys(tensor for table in self.tables for tensor in table.values() if tensor is not None)
        self._must_observe = any(map(is_lazy, found))
        return [tensor for tensor in map(ranks.local, found) if _is_writable(tensor)]

    def changed(self) -> bool:
        """Whether one was added, removed or replaced, or a lazy one may have a shape by now. Reads no values."""
        return self._must_observe or self._identities.changed()

    def replaced(self) -> Iterator[tuple[dict[str, Any], str, Any, Any]]:
        """Those that are other tensors now: the dict that holds it, its name, the tensor or None before, and now."""
        for table, before in zip(self.tables, self._before, strict=True):
            for name in [*{**before, **table}]:
                was, now = before.get(name), table.get(name)
                if was is not now:
                    yield table, name, was, now

    def put_back(self) -> None:
        """Make the same tensors as before buffers again, and no others. Their values stay."""
        for table, before in zip(self.tables, self._before, strict=True):
            table.clear()
            table.update(before)


class Copies:
    """The values of tensors, in one piece of memory for each dtype and device, where few kernels copy all of them.

    Args:
        tensors: Those that `Buffers.observe` returns. They are read at once.

    Attributes:
        pieces: The values, a 1-D tensor for each dtype and device.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for tensor in tensors:
            same_kind = kinds.setdefault((tensor.dtype, tensor.device), [])
            same_kind.append(tensor.detach() if tensor.requires_grad else tensor)  # No graph has the copies.
        self.pieces = [
            torch.empty(sum(map(Tensor.numel, group)), dtype=dtype, device=device)
            for (dtype, device), group in kinds.items()
        ]
        self._pairs = [
            (_divided(piece, group), group) for piece, group in zip(self.pieces, kinds.values(), strict=True)
        ]
        self.read()

    def read(self) -> None:
        """Copy the values of the tensors. Does not wait for the device."""
        for copies, tensors in self._pairs:
            torch._foreach_copy_(copies, tensors)

    def write(self) -> None:
        """Give the tensors the values of the copies. Does not wait for the device."""
        for copies, tensors in self._pairs:
            torch._foreach_copy_(tensors, copies)


def _is_writable(tensor: Tensor) -> bool:
    if is_lazy(tensor) or tensor.is_inference() or tensor.layout is not torch.strided:
        return False
    return all(stride > 0 or size <= 1 for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def _divided(memory: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Parts of memory with the shapes of tensors."""
    parts = torch.split(memory, [tensor.numel() for tensor in like])
    return [part.view(tensor.shape) for part, tensor in zip(parts, like, strict=True)]
