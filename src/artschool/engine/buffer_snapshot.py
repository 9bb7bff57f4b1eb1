"""Buffers of modules as they were."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


class BufferSnapshot:
    """The buffers of modules: their values, and which tensors they are.

    Args:
        modules: The modules, without those inside them.

    Attributes:
        tensors: The buffers, each once.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._owners = [(module, dict(module._buffers)) for module in modules if module._buffers]
        named = (buffer for _, buffers in self._owners for buffer in buffers.values() if buffer is not None)
        self.tensors = tuple(dict.fromkeys(named))
        self._copies = [tensor.detach().clone() for tensor in self.tensors]

    @torch.no_grad()
    def restore(self) -> None:
        """Write the values back into the same tensors, and these back into their modules."""
        for tensor, copy in zip(self.tensors, self._copies, strict=True):
            tensor.copy_(copy)
        for module, buffers in self._owners:
            module._buffers.clear()
            module._buffers.update(buffers)
