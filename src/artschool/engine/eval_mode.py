"""What evaluates networks leaves them as they were: the mode of every part, the buffers and the attributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter
from torch.nn.modules.lazy import LazyModuleMixin

from artschool.engine.buffers import Buffers, Copies
from artschool.engine.unregistered import OWN


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
def with_state_kept(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Restore the buffers and the plain attributes of modules afterwards.

    Buffers get their values and versions back, and are the same tensors. Attributes are the same objects; what code
    changes inside of a list or another object stays.
    """
    buffers, attributes = Buffers(modules), _attributes(modules)
    tensors = buffers.observe()
    values = Copies(tensors)
    # What compares versions does not take a tensor for changed: it has its values again.
    with _unsafe_preserve_version_counter(tuple(tensors)):
        try:
            yield
        finally:
            values.write()
            buffers.put_back()
            _put_back(attributes)


def _attributes(modules: Sequence[nn.Module]) -> list[tuple[nn.Module, dict[str, Any]]]:
    """The attributes of all parts that may belong to a buffer, such as the length of a table of positions."""
    parts = dict.fromkeys(part for module in modules for part in module.modules())
    return [(part, _plain(part)) for part in parts if not isinstance(part, LazyModuleMixin)]


def _plain(module: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if name not in OWN}


def _put_back(attributes: Sequence[tuple[nn.Module, dict[str, Any]]]) -> None:
    for module, before in attributes:
        for name in _plain(module).keys() - before.keys():
            del vars(module)[name]
        vars(module).update(before)
