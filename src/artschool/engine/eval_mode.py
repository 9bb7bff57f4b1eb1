"""What evaluates networks leaves them as they were: the mode of every part, and the buffers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter

from artschool.engine.buffers import Buffers, Copies


@contextmanager
def in_eval_mode(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Put networks into eval mode; afterwards, restore the mode of every submodule."""
    modes = [(module, module.training) for network in networks for module in network.modules()]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def with_buffers_kept(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Restore the buffers of modules afterwards: their values, their versions, and which tensors they are."""
    buffers = Buffers(modules)
    tensors = buffers.observe()
    values = Copies(tensors)
    # What compares versions does not take a tensor for changed: it has its values again.
    with _unsafe_preserve_version_counter(tuple(tensors)):
        try:
            yield
        finally:
            values.write()
            buffers.put_back()
