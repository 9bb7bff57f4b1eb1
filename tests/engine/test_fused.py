"""Which optimizers are built with torch's fused kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import Optimizer

from artschool.engine.optimizers import _can_fuse, build_optimizer, skips_on_device
from artschool.errors import ConfigError


@pytest.mark.parametrize(
    ("factory", "options", "expected"),
    [
        (torch.optim.Adam, {}, True),
        (torch.optim.AdamW, {}, True),
        (torch.optim.SGD, {"lr": 0.1}, True),
        (torch.optim.Adagrad, {}, True),
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}, False),
        (torch.optim.AdamW, {"fused": False}, False),
        (torch.optim.RMSprop, {}, False),
    ],
)
def test_what_is_fused_skips_on_the_device(
    factory: Callable[..., Optimizer], options: dict[str, Any], expected: bool
) -> None:
    optimizer = build_optimizer(factory, options, [{"params": [nn.Parameter(torch.zeros(3))]}], "x")
    assert bool(optimizer.param_groups[0].get("fused")) is expected
    if factory is not torch.optim.Adagrad:  # In torch 2.10 and 2.11, it is fused but does not take `found_inf`.
        assert skips_on_device(optimizer) is expected


@pytest.mark.parametrize(("factory", "expected"), [(torch.optim.AdamW, True), (torch.optim.Adagrad, False)])
def test_adagrad_is_fused_on_the_cpu_only(factory: Callable[..., Optimizer], expected: bool) -> None:
    with FakeTensorMode():
        parameter = nn.Parameter(torch.empty(3, device="cuda"))
        assert _can_fuse(factory, [{"params": [parameter]}]) is expected


def test_weights_with_gaps_in_memory_move_as_others_do() -> None:
    """Such as those of a color network, of which a gray one keeps the first channel."""
    color = torch.rand(4, 3, 3, 3)
    weights = nn.Parameter(color[:, :1]), nn.Parameter(color[:, :1].clone())
    for parameter in weights:
        optimizer = build_optimizer(torch.optim.AdamW, {"lr": 0.1}, [{"params": [parameter]}], "x")
        parameter.square().sum().backward()  # type: ignore[no-untyped-call]  # torch
        optimizer.step()
    assert torch.allclose(*weights)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("factory", [torch.optim.SGD, torch.optim.Adam, torch.optim.Adagrad])
def test_weights_of_every_type_move_as_without_fusing(factory: Callable[..., Optimizer], dtype: torch.dtype) -> None:
    """Enough elements for the vectors of the kernels. That of SGD leaves 16-bit weights on a CPU as they are."""
    weights = [nn.Parameter(torch.linspace(-1, 1, 100).to(dtype)) for _ in range(2)]
    more = {} if factory is torch.optim.SGD else {"eps": 1e-4}  # 16 bits do not hold the one of torch.
    for parameter, options in zip(weights, (more, more | {"fused": False}), strict=True):
        optimizer = build_optimizer(factory, {"lr": 0.1, **options}, [{"params": [parameter]}], "x")
        parameter.grad = torch.linspace(-2, 1, 100).to(dtype)
        optimizer.step()
    torch.testing.assert_close(*weights, rtol=1e-2, atol=1e-2)


def test_a_kernel_that_moves_nothing_is_refused() -> None:
    group = {"params": [nn.Parameter(torch.ones(100, dtype=torch.bfloat16))]}
    with pytest.raises(ConfigError, match=r"^x\.fused: the fused SGD of torch does not move weights of 16 bits"):
        build_optimizer(torch.optim.SGD, {"lr": 0.1, "fused": True}, [group], "x")
