"""Finds the values of a state that a call changes in place, though each key is written once."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves

Frames = list[tuple[FrameType, int]]
"""Frames with their current line, innermost first."""


class Writes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch
    """Notices operations that write to the memory of some values, also through views and `.data`.

    Args:
        values: The values by key.
        locate: Called with the frames of the first write to each key; its result is the value in `found`.

    Attributes:
        found: The keys that were written to.
        found_inputs: The networks whose inputs were written to while they ran. Inputs that are keys are in `found`.
    """

    def __init__(self, values: Mapping[str, Any], locate: Callable[[Frames], Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch
        self.found: dict[str, Any] = {}
        self.found_inputs: dict[str, Any] = {}
        self._locate = locate
        self._keys: dict[int, list[str]] = {}
        self._inputs: dict[int, str] = {}
        for key, value in values.items():
            for tensor in filter(_has_memory, tree_leaves(value)):
                self._keys.setdefault(_memory(tensor), []).append(key)

    @contextmanager
    def inputs_of(self, networks: Mapping[str, nn.Module]) -> Iterator[None]:
        """Also notice operations of networks that write to the memory of their own inputs."""
        with ExitStack() as hooks:
            for name, network in networks.items():
                hooks.enter_context(network.register_forward_pre_hook(self._beginning(name), with_kwargs=True))
                hooks.enter_context(network.register_forward_hook(self._ending, with_kwargs=True))
            yield

    def _beginning(self, name: str) -> Callable[..., None]:
        def begin(network: nn.Module, args: Any, kwargs: Any) -> None:
            for tensor in filter(_has_memory, tree_leaves((args, kwargs))):
                if _memory(tensor) not in self._keys:
                    self._inputs[_memory(tensor)] = name

        return begin

    def _ending(self, network: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        self._inputs.clear()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        for tensor in _written(func, args, kwargs or {}):
            for key in self._keys.get(_memory(tensor), ()):
                if key not in self.found:
                    self.found[key] = self._locate(list(traceback.walk_stack(sys._getframe())))
            name = self._inputs.get(_memory(tensor))
            if name is not None and name not in self.found_inputs:
                self.found_inputs[name] = self._locate(list(traceback.walk_stack(sys._getframe())))
        return func(*args, **(kwargs or {}))


class Contents:
    """What of some values Python code can change: the items of lists and mappings, and arrays of NumPy."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)
        self._before = {key: _contents(value) for key, value in values.items()}

    def changed(self) -> list[str]:
        """The keys whose values have changed."""
        return [key for key, before in self._before.items() if not _equal(before, _contents(self._values[key]))]


def _contents(value: Any) -> tuple[list[Any], Any, list[bytes]]:
    items, structure = tree_flatten(value)
    return items, structure, [item.tobytes() for item in items if isinstance(item, np.ndarray)]


def _equal(one: tuple[list[Any], Any, list[bytes]], other: tuple[list[Any], Any, list[bytes]]) -> bool:
    same_items = len(one[0]) == len(other[0]) and all(a is b for a, b in zip(one[0], other[0], strict=True))
    return bool(same_items and one[1:] == other[1:])


def _written(func: Any, args: Sequence[Any], named: Mapping[str, Any]) -> Iterator[Tensor]:
    """The tensors that an operation writes to."""
    for position, name in _written_arguments(func):
        value = args[position] if position < len(args) else named.get(name)
        yield from filter(_has_memory, value if isinstance(value, list | tuple) else [value])


@cache
def _written_arguments(func: Any) -> list[tuple[int, str]]:
    arguments = enumerate(func._schema.arguments) if hasattr(func, "_schema") else ()
    return [(i, each.name) for i, each in arguments if each.alias_info is not None and each.alias_info.is_write]


def _has_memory(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout is torch.strided


def _memory(tensor: Tensor) -> int:
    """A number that tensors share if they share their memory."""
    return int(tensor.untyped_storage()._cdata)
