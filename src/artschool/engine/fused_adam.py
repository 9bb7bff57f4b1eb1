"""The step of torch's fused Adam and AdamW, without what theirs looks up and sorts anew each time.

It calls the same kernels, and gives the same bits. With small networks, torch's step spends most of its time in Python.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer
from torch.optim import optimizer as of_torch

_ONE = torch.ones((), device="cpu")
"""A number, which torch would make a tensor at each addition."""


def is_fused_adam(optimizer: Optimizer) -> bool:
    """Whether `step` can move the parameters of an optimizer: they have one dtype and one device."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return (
        type(optimizer) in (Adam, AdamW)
        and all(group["fused"] for group in optimizer.param_groups)
        and len({(parameter.dtype, parameter.device) for parameter in parameters}) == 1
    )


def step(optimizer: Optimizer, found_inf: Tensor | None) -> bool:
    """Move the parameters of an optimizer, unless only its own `step` can: it creates state, or something observes it.

    Args:
        optimizer: One for which `is_fused_adam` is true.
        found_inf: A scalar on the device; 1.0 leaves the parameters and the state as they are. None: always move.

    Returns:
        Whether they were moved.
    """
    if _is_observed(optimizer):
        return False
    moves = []
    for group in optimizer.param_groups:
        parameters: list[Tensor] = [parameter for parameter in group["params"] if parameter.grad is not None]
        states = [optimizer.state[parameter] for parameter in parameters]
        if not all(states):
            return False
        if parameters:
            moves.append((group, parameters, states))
    with torch.set_grad_enabled(False):  # `no_grad` takes twice as long.
        count = None if found_inf is None else _ONE - found_inf
        for group, parameters, states in moves:
            _move(group, parameters, states, count, found_inf)
    return True


def _is_observed(optimizer: Optimizer) -> bool:
    """Whether hooks or a profiler expect a call of the optimizer's own `step`."""
    return bool(
        optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
        or of_torch._global_optimizer_pre_hooks
        or of_torch._global_optimizer_post_hooks
        or torch.autograd.profiler._is_profiler_enabled
    )


def _move(
    group: Mapping[str, Any],
    parameters: list[Tensor],
    states: Sequence[MutableMapping[str, Tensor]],
    count: Tensor | None,
    found_inf: Tensor | None,
) -> None:
    """Move the parameters of a group. `count` is what is added to the number of steps; None: 1."""
    steps = _counted(states, count)
    is_adamw = group["decoupled_weight_decay"]
    beta1, beta2 = group["betas"]
    (torch._fused_adamw_ if is_adamw else torch._fused_adam_)(
        parameters,
        [parameter.grad for parameter in parameters if parameter.grad is not None],
        [state["exp_avg"] for state in states],
        [state["exp_avg_sq"] for state in states],
        [state["max_exp_avg_sq"] for state in states] if group["amsgrad"] else [],
        steps,
        lr=group["lr"],
        beta1=beta1,
        beta2=beta2,
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=group["amsgrad"],
        maximize=group["maximize"],
        found_inf=found_inf,
    )


def _counted(states: Sequence[MutableMapping[str, Tensor]], count: Tensor | None) -> list[Tensor]:
    """The numbers of steps after this one. They are views of one tensor, since an addition to each takes longer."""
    steps = [state["step"] for state in states]
    joined = steps[0]._base
    if joined is None or joined.shape != (len(steps),) or any(step._base is not joined for step in steps):
        joined = torch.stack(steps)
        steps = list(joined)
        for state, step in zip(states, steps, strict=True):
            state["step"] = step
    joined += _ONE if count is None else count
    return steps
