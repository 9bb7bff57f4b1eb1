"""Backpropagation, which does not pass through `Tensor.backward`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from artschool.engine.precision import Precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_gradients_add_up_and_the_graph_is_freed(dtype: torch.dtype) -> None:
    x = torch.tensor([2.0, 3.0], dtype=dtype, requires_grad=True)
    precision = Precision("fp32", CPU)
    for expected in ([4.0, 6.0], [8.0, 12.0]):
        loss = x.square().sum()
        precision.backward(loss)
        assert x.grad is not None
        assert x.grad.tolist() == expected
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        precision.backward(loss)


class Observed(Tensor):
    """A tensor that notes the functions of torch that are called with it."""

    calls: tuple[str, ...] = ()

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Iterable[type],
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        cls.calls = (*cls.calls, getattr(function, "__name__", ""))
        return super().__torch_function__(function, types, args, kwargs or {})  # type: ignore[no-untyped-call]


class Observer(TorchFunctionMode):
    """A mode that notes the functions of torch that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.calls.append(getattr(function, "__name__", ""))
        return function(*args, **(kwargs or {}))


def test_tensors_and_modes_of_users_see_the_call() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    loss = x.sum()
    with Observer() as observer:
        Precision("fp32", CPU).backward(loss)
    assert "backward" in observer.calls
    Precision("fp32", CPU).backward((x * 3).sum().as_subclass(Observed))
    assert "backward" in Observed.calls
    assert x.grad is not None
    assert x.grad.tolist() == [4.0]
