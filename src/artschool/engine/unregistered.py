"""Finds what the attributes of a module hold and the module does not register."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection, Iterator
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

OWN = frozenset(vars(nn.Module()))
"""The attributes in which every module registers its parts and keeps its hooks."""
MOST_LEVELS = 6
CODE = (type, ModuleType, BuiltinFunctionType)
COMPOSED = (dict, list, tuple, deque, set, frozenset, partial, MethodType, FunctionType)
GENERATORS = (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)
PLAIN = (str, bytes, int, float, complex, type(None))


def unregistered(owner: object) -> Iterator[tuple[str, Tensor]]:
    """The tensors that a module or another object holds in lists, mappings, objects, closures or plain attributes.

    `state_dict`, `parameters` and `to` miss them.

    Yields:
        The path of each tensor from the owner, such as `blocks[0].weight`, and the tensor.
    """
    return ((path, value) for path, value in held(owner) if isinstance(value, Tensor))


def held(owner: object, known: Collection[int] = ()) -> Iterator[tuple[str, Any]]:
    """All values that a module or another object holds and does not register: tensors, and values without parts.

    Args:
        known: The identities of objects that are not searched.

    Yields:
        The path of each value from the owner, such as `blocks[0].weight` or `count`, and the value.
    """
    modules = list(owner.named_modules()) if isinstance(owner, nn.Module) else []
    registered = [tensor for _, module in modules for tensor in _registered(module)]
    seen = {*known, *(id(value) for value in (*registered, *(module for _, module in modules)))}
    for prefix, module in modules:
        yield from _below_module(module, prefix, seen, 0)
    if not modules:
        yield from _below(owner, "", seen, 0)


def _registered(module: nn.Module) -> Iterator[Tensor]:
    tables = (module._parameters, module._buffers)
    yield from (tensor for table in tables for tensor in table.values() if tensor is not None)


def _below_module(module: nn.Module, path: str, seen: set[int], level: int) -> Iterator[tuple[str, Any]]:
    for name, value in list(vars(module).items()):
        if name not in OWN:
            yield from _below(value, f"{path}.{name}" if path else name, seen, level + 1)


def _below(value: Any, path: str, seen: set[int], level: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, PLAIN):
        yield path, value
        return
    if level > MOST_LEVELS or id(value) in seen or isinstance(value, CODE):
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        yield path, value
        return
    if isinstance(value, nn.Module):
        for name, inner in value.named_modules(prefix=path):
            seen.add(id(inner))
            table = {**inner._parameters, **inner._buffers}
            for own, tensor in table.items():
                yield from _below(tensor, f"{name}.{own}" if name else own, seen, level + 1)
            yield from _below_module(inner, name, seen, level)
        return
    if not isinstance(value, COMPOSED) and (isinstance(value, GENERATORS) or not hasattr(value, "__dict__")):
        yield path, value
        return
    for name, part in _parts(value):
        yield from _below(
            part, path + name if path or name.startswith("[") else name.removeprefix("."), seen, level + 1
        )


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds, with what Python writes behind the object to reach it."""
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", part) for key, part in list(value.items()))
    elif isinstance(value, list | tuple | deque):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    elif isinstance(value, set | frozenset):  # Its order differs from process to process.
        yield from ((f"[{index}]", part) for index, part in enumerate(sorted(value, key=_plain_text)))
    elif isinstance(value, partial):
        yield from (("", part) for part in (value.func, *value.args, *value.keywords.values()))
    elif isinstance(value, MethodType):
        yield "", value.__self__
    elif isinstance(value, FunctionType):
        yield from _captured(value)
    else:
        yield from ((f".{name}", part) for name, part in list(vars(value).items()))


def _plain_text(value: Any) -> str:
    return repr(value) if isinstance(value, PLAIN) else ""


def _captured(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The variables of a function that it takes from around it."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f".{name}", cell.cell_contents
        except ValueError:  # The variable is not set yet.
            continue
