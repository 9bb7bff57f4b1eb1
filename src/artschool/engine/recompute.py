"""Activation checkpointing: parts of a network recompute their activations in backward instead of keeping them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from artschool.engine.module_patterns import outermost_matching


def checkpoint_activations(network: nn.Module, patterns: Sequence[str], path: str) -> None:
    """Make the modules whose names match a pattern, such as `body.*`, keep only their inputs for backward.

    Gradients are bit-identical: dropout repeats its random numbers, and buffers such as the running means of batch norm
    change only once. Names of parameters stay the same. Submodules of a matching module are not checkpointed
    separately. Without gradients, as in evaluations, checkpointing has no effect.

    Source: Chen et al. 2016, arXiv:1604.06174.

    Raises:
        ConfigError: A pattern matches no module.
    """
    for module in outermost_matching(network, patterns, f"{path}.activation_checkpointing").values():
        # deepcopy rebinds a bound method to the copied module; a closure would still refer to the original.
        module.forward = MethodType(_forward, module)


def _forward(self: nn.Module, *inputs: Any, **named: Any) -> Any:
    forward = type(self).forward
    if not torch.is_grad_enabled():
        return forward(self, *inputs, **named)
    # A compiled graph recomputes values only. It writes buffers and draws random numbers once, and takes no contexts.
    contexts: dict[str, Any] = {} if torch.compiler.is_compiling() else {"context_fn": lambda: _contexts(self)}
    return checkpoint(forward, self, *inputs, use_reentrant=False, **contexts, **named)


def recomputed_buffers(network: nn.Module) -> Iterator[Tensor]:
    """The buffers of the modules that recompute their activations."""
    for module in network.modules():
        if getattr(vars(module).get("forward"), "__func__", None) is _forward:
            yield from module.buffers()


def _contexts(module: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """The contexts of forward and of its recomputation, in which buffers have the values from before forward."""
    return nullcontext(), copied_buffers(module) if module.training else nullcontext()


def copied_buffers(module: nn.Module) -> AbstractContextManager[None]:
    """A context in which a module has copies of its buffers, so that nothing that happens to them has an effect.

    It can be entered again, as a loss that differentiates a graph twice requires: the buffers always begin with the
    values that they have now.
    """
    return _CopiedBuffers(module)


class _CopiedBuffers(AbstractContextManager[None]):
    def __init__(self, module: nn.Module) -> None:
        self._modules = list(module.modules())
        self._values = {buffer: buffer.detach().clone() for buffer in module.buffers()}
        self._tables = [dict(part._buffers) for part in self._modules]
        self._entered: list[list[dict[str, Tensor | None]]] = []

    def __enter__(self) -> None:
        self._entered.append([dict(part._buffers) for part in self._modules])
        # Shared buffers stay shared.
        copies: dict[Tensor | None, Tensor | None] = {buffer: value.clone() for buffer, value in self._values.items()}
        copies[None] = None
        self._replace([{name: copies[buffer] for name, buffer in table.items()} for table in self._tables])

    def __exit__(self, *_: object) -> None:
        self._replace(self._entered.pop())

    def _replace(self, tables: Sequence[Mapping[str, Tensor | None]]) -> None:
        """Give modules other buffers. What the code of the modules has done to theirs has no effect any more."""
        for part, table in zip(self._modules, tables, strict=True):
            part._buffers.clear()
            part._buffers.update(table)
