"""The faster step of fused Adam and AdamW: the same bits as torch's own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from artschool.engine import fused_adam
from artschool.engine.optimizers import step_unless_non_finite

OPTIONS: list[tuple[type[Optimizer], dict[str, Any]]] = [
    (AdamW, {}),
    (AdamW, {"amsgrad": True, "maximize": True}),
    (Adam, {"weight_decay": 0.1, "betas": (0.5, 0.9), "eps": 1e-6}),
]
FLAGS = (None, 0.0, 1.0, 0.0)
"""For each step, whether it is skipped. None: nothing looks."""


def _optimizer(kind: type[Optimizer], options: dict[str, Any]) -> Optimizer:
    generator = torch.Generator().manual_seed(0)
    shapes: list[list[tuple[int, ...]]] = [[(3, 4), (5,)], [()], [(2,)]]
    groups = [
        {"params": [nn.Parameter(torch.randn(shape, generator=generator)) for shape in group], "lr": 0.1 / number}
        for number, group in enumerate(shapes, 1)
    ]
    return kind(groups, fused=True, **options)  # type: ignore[call-arg]  # of Adam and AdamW


def _tensors(optimizer: Optimizer) -> list[Tensor]:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    states = [state[name] for state in map(optimizer.state.get, parameters) if state for name in sorted(state)]
    return [*parameters, *states]


def _set_gradients(optimizer: Optimizer, seed: int) -> None:
    """Give each parameter a gradient, in odd steps without the first one and the last group."""
    generator = torch.Generator().manual_seed(seed)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
    if seed % 2:
        optimizer.param_groups[0]["params"][0].grad = optimizer.param_groups[-1]["params"][0].grad = None


@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_the_bits_are_those_of_torch(kind: type[Optimizer], options: dict[str, Any]) -> None:
    ours, torchs = _optimizer(kind, options), _optimizer(kind, options)
    assert fused_adam.is_fused_adam(ours)
    _set_gradients(ours, 0)
    assert not fused_adam.step(ours, None)  # There is no state yet.
    for optimizer in (ours, torchs):
        _set_gradients(optimizer, 0)
        optimizer.step()
    for seed, flag in enumerate(FLAGS, 1):
        found_inf = None if flag is None else torch.tensor(flag)
        for optimizer in (ours, torchs):
            _set_gradients(optimizer, seed)
            for group in optimizer.param_groups:
                group["lr"] *= 0.9
        before = copy.deepcopy(_tensors(ours))
        assert fused_adam.step(ours, found_inf)
        if found_inf is None:
            torchs.step()
        else:
            step_unless_non_finite(torchs, found_inf, torchs.step)
        for one, other in zip(_tensors(ours), _tensors(torchs), strict=True):
            assert torch.equal(one, other)
        same = [torch.equal(one, other) for one, other in zip(_tensors(ours), before, strict=True)]
        assert all(same) is (flag == 1.0)


def test_the_numbers_of_steps_are_counted_in_one_tensor() -> None:
    optimizer = _optimizer(AdamW, {})
    group = optimizer.param_groups[0]
    for seed in (0, 2, 2, 1, 2):  # With 1, only the second parameter has a gradient.
        _set_gradients(optimizer, seed)
        if not fused_adam.step(optimizer, None):
            optimizer.step()
    first, second = (optimizer.state[parameter]["step"] for parameter in group["params"])
    assert (float(first), float(second)) == (4, 5)
    assert first._base is second._base is not None
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert fused_adam.step(optimizer, None)
    assert [float(optimizer.state[parameter]["step"]) for parameter in group["params"]] == [5, 6]


def test_hooks_and_profilers_see_the_step_of_torch() -> None:
    optimizer = _optimizer(AdamW, {})
    _set_gradients(optimizer, 0)
    optimizer.step()
    calls: list[Optimizer] = []
    hook = optimizer.register_step_pre_hook(lambda optimizer, *_: calls.append(optimizer))
    assert not fused_adam.step(optimizer, None)
    hook.remove()
    with torch.profiler.profile():
        assert not fused_adam.step(optimizer, None)
    assert fused_adam.step(optimizer, None)


def test_only_what_the_kernels_take_is_moved() -> None:
    class Own(AdamW):
        """One whose `step` may do more."""

    parameter = nn.Parameter(torch.zeros(2))
    wide = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    assert fused_adam.is_fused_adam(AdamW([parameter], fused=True))
    assert not fused_adam.is_fused_adam(AdamW([parameter], fused=False))
    assert not fused_adam.is_fused_adam(AdamW([parameter, wide], fused=True))
    assert not fused_adam.is_fused_adam(Own([parameter], fused=True))
    assert not fused_adam.is_fused_adam(torch.optim.SGD([parameter], fused=True))
