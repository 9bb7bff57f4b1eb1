"""Injectors that compute in float32 where the run computes in half precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)


def in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without autocast. Its inputs in half precision are widened to float32."""

    def call(**values: Any) -> Any:
        widened = _widened(values)
        with ExitStack() as stack:
            for device_type in {tensor.device.type for tensor in _tensors(widened)}:
                stack.enter_context(torch.autocast(device_type, enabled=False))
            return function(**widened)

    return call


def _widened(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype in HALF else value
    if isinstance(value, list | tuple):
        return [_widened(part) for part in value]
    return {name: _widened(part) for name, part in value.items()} if isinstance(value, dict) else value


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)
