"""Activation checkpointing: what a part of a network computes is made again in backward, instead of kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from fnmatch import fnmatchcase
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from artschool.errors import ConfigError


def checkpoint_activations(network: nn.Module, patterns: Sequence[str], path: str) -> None:
    """Let the modules whose names match a pattern, such as `body.*`, keep only their inputs for backward.

    Gradients are the same to the last bit: dropout draws the same numbers again, and what forward changes in buffers,
    such as the running means of batch norm, it changes once. Names of parameters stay. Inside a module that matches,
    nothing is looked for. Without gradients, as in evaluations, nothing happens.

    Source: Chen et al. 2016, arXiv:1604.06174.

    Raises:
        ConfigError: A pattern matches no module.
    """
    modules = {name: module for name, module in network.named_modules() if name}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in modules):
            raise ConfigError(
                f"{path}.activation_checkpointing: {pattern!r} matches no module; there are "
                f"{', '.join(list(modules)[:8])}, ..."
            )
    chosen: list[str] = []
    for name, module in modules.items():
        if any(name.startswith(f"{outer}.") for outer in chosen):
            continue
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            chosen.append(name)
            # A bound method, because copying a network rebinds it to the copy; a closure would not follow.
            module.forward = MethodType(_forward, module)


def _forward(self: nn.Module, *inputs: Any, **named: Any) -> Any:
    forward = MethodType(type(self).forward, self)
    if not torch.is_grad_enabled():
        return forward(*inputs, **named)
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=lambda: _contexts(self), **named)


def _contexts(module: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Around forward, and around each time it is computed again: there its buffers are those of the first time."""
    before = [buffer.detach().clone() for buffer in module.buffers()] if module.training else []
    return _unchanged([], []), _unchanged(list(module.buffers()) if before else [], before)


@contextmanager
def _unchanged(buffers: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Let buffers hold other values for a while. Autograd, which has saved them, does not notice."""
    present = [buffer.data for buffer in buffers]
    for buffer, value in zip(buffers, values, strict=True):
        buffer.data = value.clone()
    try:
        yield
    finally:
        for buffer, value in zip(buffers, present, strict=True):
            buffer.data = value
