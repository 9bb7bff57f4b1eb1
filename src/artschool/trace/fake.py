"""Tensors without values: what is computed on them has shapes and types, and takes neither memory nor time."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)
from torch.overrides import TorchFunctionMode

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
    "Couldn't swap",
    "different devices",
    "same device",
)
"""What torch says where code reaches for the memory of a tensor, or names another device: these are on the CPU."""


@contextmanager
def fake_tensors() -> Iterator[None]:
    """Make every tensor that is created here one without values."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    level = log.level
    log.setLevel(logging.CRITICAL)  # It reports with a traceback what is raised anyway.
    try:
        with warnings.catch_warnings(), FakeTensorMode(allow_non_fake_inputs=True), _Copies():
            warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")
            yield
    finally:
        log.setLevel(level)


def needs_values(error: BaseException | None) -> bool:
    """Whether an error says only that a tensor has no values, not that anything is wrong."""
    while error is not None:
        if isinstance(error, NEEDS_VALUES) or any(sign in str(error) for sign in SIGNS):
            return True
        error = error.__cause__ or error.__context__
    return False


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
