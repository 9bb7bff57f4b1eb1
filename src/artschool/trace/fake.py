"""Tensors without values: what is computed on them has shapes and types, and takes neither memory nor time."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import Tensor, nn
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from artschool.trace.operations import RULES

NEEDS_VALUES = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)
SIGNS = (
    "tensor subclass",
    "of type FakeTensor",
    "storage of a tensor on device",
    "Cannot access data pointer",
    "WeakValueDictionary",
    "torch.storage.UntypedStorage",
    "Couldn't swap",
    "different devices",
    "same device",
)
"""What torch says where code reaches for the memory of a tensor, or names another device: these are on the CPU."""


@contextmanager
def fake_tensors() -> Iterator[AbstractContextManager[Any]]:
    """Make every tensor that is created here one without values.

    Yields:
        A context in which modules of such tensors can be copied, which slows down everything else.
    """
    log = logging.getLogger("torch._subclasses.fake_tensor")
    level = log.level
    log.setLevel(logging.CRITICAL)  # It reports with a traceback what is raised anyway.
    try:
        with warnings.catch_warnings(), _FakeTensors(allow_non_fake_inputs=True):
            warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")
            yield _Copies()
    finally:
        log.setLevel(level)


def needs_values(error: BaseException | None) -> bool:
    """Whether an error says only that a tensor has no values, not that anything is wrong."""
    while error is not None:
        if isinstance(error, NEEDS_VALUES) or any(sign in str(error) for sign in SIGNS):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def remembering(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Let networks give the same result again for inputs of the same shapes and types, since there are no values.

    A sampler or a recurrence calls a network a thousand times, and each call takes as long as its operations are many.
    """
    for network in networks:
        network.forward = _remembered(network)
    try:
        yield
    finally:
        for network in networks:
            network.__dict__.pop("forward", None)


def _remembered(network: nn.Module) -> Callable[..., Any]:
    forward, results = network.forward, dict[str, Any]()

    def again(*inputs: Any, **named: Any) -> Any:
        key = repr((network.training, tree_map(_kind, (inputs, named))))
        if key not in results:
            results[key] = forward(*inputs, **named)
        return results[key]

    return again


def _kind(value: Any) -> Any:
    return (value.shape, value.dtype) if isinstance(value, Tensor) else value


class _FakeTensors(FakeTensorMode):  # type: ignore[no-untyped-call]  # torch
    def __torch_dispatch__(
        self,
        func: OpOverload[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        rule = RULES.get(func)
        if rule is not None:
            with self:
                result = rule(func, *args)
            if result is not None:
                return result
        return super().__torch_dispatch__(func, types, args, kwargs or {})


class _Copies(TorchFunctionMode):
    """Copies what `copy.deepcopy` cannot: it asks for a storage to copy."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is not Tensor.__deepcopy__ or not isinstance(args[0], FakeTensor):
            return func(*args, **(kwargs or {}))
        tensor, memo = args
        if id(tensor) not in memo:
            copied: Tensor = tensor.detach().clone()
            copied = nn.Parameter(copied) if isinstance(tensor, nn.Parameter) else copied
            memo[id(tensor)] = copied.requires_grad_(tensor.requires_grad)
        return memo[id(tensor)]
