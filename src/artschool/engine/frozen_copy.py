"""Copies a network, such as for its moving average."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CellType, FunctionType
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from artschool.errors import ConfigError, ResourceError
from artschool.shortages import shortages_raised

_EMPTY = CellType()
"""A cell of a closure whose variable is not set yet."""


def frozen_copy(network: nn.Module) -> nn.Module:
    """A copy of a network in eval mode, whose parameters require no gradients.

    Raises:
        ConfigError: The network cannot be copied, or the copy would use tensors of the original.
    """
    if any(map(is_lazy, (*network.parameters(), *network.buffers()))):
        raise ConfigError(
            "cannot be averaged: it has lazy modules, whose shapes depend on the first batch. "
            "Fix: give the modules their sizes, or remove it from `ema`"
        )
    try:
        with shortages_raised("ema"), _CopiesOfResults():
            copied = copy.deepcopy(network).eval().requires_grad_(False)
    except ResourceError:
        raise
    except Exception as error:  # `__deepcopy__` of any class.
        raise ConfigError(
            f"cannot be averaged, because copy.deepcopy of the network fails: {type(error).__name__}: {error}. "
            "Fix: define `__deepcopy__` in its class, or remove it from `ema`"
        ) from error
    if function := _function_of_original(copied, network):
        raise ConfigError(
            f"cannot be averaged: a copy of it calls {function}, which still uses the modules or tensors of the "
            "original. Fix: make the function a method of the module"
        )
    return copied


def _function_of_original(copied: nn.Module, original: nn.Module) -> str:
    """The name and location of a function in a copy whose closure refers to the original. Empty: there is none.

    Functions are not copied: a hook such as `lambda module, x, y: self.keep(y)` would act on the original.
    """
    shared = {*copied.modules(), *copied.parameters(), *copied.buffers()}
    tensors = (*original.parameters(), *original.buffers())
    own = {id(part) for part in (*original.modules(), *tensors) if part not in shared}
    for function in _functions_in([vars(module) for module in copied.modules()], set()):
        cells = [cell.cell_contents for cell in function.__closure__ or () if cell != _EMPTY]
        held = [*cells, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        if any(id(getattr(value, "__self__", value)) in own for value in held):
            return f"{function.__name__!r} (line {function.__code__.co_firstlineno} of {function.__code__.co_filename})"
    return ""


def _functions_in(value: object, seen: set[int]) -> Iterator[FunctionType]:
    """The plain functions in nested lists, tuples and dicts."""
    if isinstance(value, FunctionType):
        yield value
    if id(value) in seen or not isinstance(value, Mapping | list | tuple):
        return
    seen.add(id(value))
    for part in value.values() if isinstance(value, Mapping) else value:
        yield from _functions_in(part, seen)


class _CopiesOfResults(TorchFunctionMode):
    """Makes `copy.deepcopy` work on tensors that were computed from others, which torch refuses to copy.

    `torch.nn.utils.weight_norm` stores one in its module, and computes it again in each forward.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is not Tensor.__deepcopy__ or args[0].is_leaf:
            return func(*args, **(kwargs or {}))
        tensor, memo = args
        return memo.setdefault(id(tensor), tensor.detach().clone())
