"""Tensors without values: operations on them compute shapes and types only, in hardly any memory and time."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
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

from artschool.errors import text_of
from artschool.trace.operations import RULES, UPDATES

MISSING_VALUES = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)
MISSING_VALUES_TEXTS = (
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
"""Parts of torch's errors about code that accesses the memory of a tensor, or names a device other than the CPU."""


@contextmanager
def fake_tensors() -> Iterator[AbstractContextManager[Any]]:
    """Create every tensor without values.

    Yields:
        A context in which modules with these tensors can be deep-copied, and divided among a thousand processes. It
        slows down everything else.
    """
    log = logging.getLogger("torch._subclasses.fake_tensor")
    level = log.level
    log.setLevel(logging.CRITICAL)  # It logs a traceback of errors that are raised anyway.
    try:
        with warnings.catch_warnings(), _FakeTensors(allow_non_fake_inputs=True):
            warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")
            yield _Copies()
    finally:
        log.setLevel(level)


def is_about_missing_values(error: BaseException | None) -> bool:
    """Whether an error only means that a tensor has no values, and not that the code is wrong."""
    while error is not None:
        if isinstance(error, MISSING_VALUES) or any(text in text_of(error) for text in MISSING_VALUES_TEXTS):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def memoized(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Let networks return the same result for inputs of the same shapes and types, since values do not matter.

    A sampler may call a network a thousand times, and even without values each operation takes time.
    """
    for network in networks:
        network.forward = _memoized_forward(network)
    try:
        yield
    finally:
        for network in networks:
            network.__dict__.pop("forward", None)


def _memoized_forward(network: nn.Module) -> Callable[..., Any]:
    forward, results = network.forward, dict[str, Any]()

    def memoized_forward(*inputs: Any, **named: Any) -> Any:
        if torch.is_grad_enabled():  # A sampler that follows gradients needs them from each call.
            return forward(*inputs, **named)
        key = repr((network.training, tree_map(_shape_and_type, (inputs, named))))
        if key not in results:
            results[key] = forward(*inputs, **named)
        return results[key]

    return memoized_forward


def _shape_and_type(value: Any) -> Any:
    return (value.shape, value.dtype) if isinstance(value, Tensor) else value


class _FakeTensors(FakeTensorMode):  # type: ignore[no-untyped-call]  # torch
    def __torch_dispatch__(
        self,
        func: OpOverload[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in UPDATES:
            return None
        rule = RULES.get(func)
        if rule is not None:
            with self:
                result = rule(func, *args)
            if result is not None:
                return result
        return super().__torch_dispatch__(func, types, args, kwargs or {})


class _Copies(TorchFunctionMode):
    """Makes `copy.deepcopy` work on tensors without values, which have no storage to copy, and `torch.chunk` faster."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.chunk and isinstance(args[0], FakeTensor):
            return _chunks(*args, **(kwargs or {}))
        if func is not Tensor.__deepcopy__ or not isinstance(args[0], FakeTensor):
            return func(*args, **(kwargs or {}))
        tensor, memo = args
        if not tensor.is_leaf:
            raise RuntimeError("only tensors that no operation has computed can be copied")  # As torch does.
        if id(tensor) not in memo:
            copied: Tensor = tensor.detach().clone()
            is_trained = tensor.requires_grad  # Parameters of integers cannot be, not even until the next line.
            copied = nn.Parameter(copied, is_trained) if isinstance(tensor, nn.Parameter) else copied
            memo[id(tensor)] = copied.requires_grad_(is_trained)
        return memo[id(tensor)]


def _chunks(tensor: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """The result of `torch.chunk`, in which all chunks of the same size are one tensor: their values do not matter."""
    size = tensor.shape[dim]
    each = max(1, -(-size // chunks))
    whole, rest = divmod(size, each)
    last = (tensor.narrow(dim, whole * each, rest),) if rest or not whole else ()
    return (*([tensor.narrow(dim, 0, each)] * whole if whole else []), *last)
