"""Tries whether an optimizer treats each parameter by itself, as options that divide parameters among updates need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from artschool import ranks
from artschool.data.seeds import forked_rng
from artschool.engine.offload import OffloadedState
from artschool.errors import ConfigError

Groups = list[dict[str, Any]]
Build = Callable[[Groups], Optimizer]
Divide = Callable[[Build, Groups], Iterator[tuple[Optimizer, Callable[[], object]]]]
"""Builds optimizers for the parameters of groups, each with the function that updates its own."""

SCALES = (1.0, 0.01, 30.0, 1.0)
"""Sizes of the gradients in successive updates. An optimizer may look at other parameters only to clip."""
TOLERANCE = 1e-3
"""Relative to the largest move of an element, and to a number of a group."""


def check_separate(
    build: Build, groups: Sequence[Mapping[str, Any]], path: str, option: str, *, in_parts: bool = False
) -> None:
    """Compare updates of parameters together with updates of each by itself.

    The parameters have random values, and the shapes of two of each group and number of dimensions, limited to 64.

    Args:
        build: Builds an optimizer from groups.
        path: Location of the optimizer in the config file, for errors.
        option: The option that divides parameters, for errors.
        in_parts: Whether one optimizer also has to update part after part.

    Raises:
        ConfigError: The updates differ, or the optimizer fails.
    """
    with unset_fake_temporarily():  # A trace has no values.
        small = [{**group, "params": [*_small(group["params"])]} for group in groups]
        try:
            together = _moved(build, small, _together)
            problem = _difference(together, _moved(build, small, _each))
            if in_parts and not problem:
                problem = _difference(together, _moved(build, small, _in_parts))
        except Exception as error:  # Of any package.
            first_line = str(error).partition("\n")[0]
            problem = f"this one cannot be tried: {type(error).__name__}: {first_line}"
    if problem:
        raise ConfigError(
            f"{path}: `{option}` requires an optimizer that treats each parameter by itself, but {problem}. "
            f"Fix: remove `{option}`, or use another optimizer, such as adamw"
        )


def _small(parameters: Sequence[nn.Parameter]) -> Iterator[Tensor]:
    known = [ranks.local(parameter) for parameter in parameters if not is_lazy(parameter)]
    for _, alike in groupby(sorted(known, key=Tensor.dim), Tensor.dim):
        for like in [*alike][:2]:
            yield torch.empty([min(size, 64) for size in like.shape], dtype=like.dtype, device=like.device)


def _moved(build: Build, small: Groups, divide: Divide) -> list[tuple[Tensor, dict[str, float]]]:
    """How far each parameter has moved, and the numbers that its group then has."""
    device = next((like.device for group in small for like in group["params"]), torch.device("cpu"))
    with forked_rng(0, device):
        groups = [{**group, "params": [nn.Parameter(_random(like)) for like in group["params"]]} for group in small]
        parameters = [parameter for group in groups for parameter in group["params"]]
        starts = [parameter.detach().clone() for parameter in parameters]
        gradients = [_random(parameter) for parameter in parameters]
        numbers: dict[Tensor, dict[str, float]] = {}
        for optimizer, update in divide(build, groups):
            for scale in SCALES:
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = gradient * scale
                update()
            for group in optimizer.param_groups:
                numbers |= dict.fromkeys(group["params"], _numbers(group))
    return [(p.detach() - start, numbers[p]) for p, start in zip(parameters, starts, strict=True)]


def _numbers(group: Mapping[str, Any]) -> dict[str, float]:
    found = {name: value.item() if _is_scalar(value) else value for name, value in group.items()}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _is_scalar(value: object) -> bool:
    return isinstance(value, Tensor) and value.numel() == 1


def _random(like: Tensor) -> Tensor:
    return torch.randn_like(like, requires_grad=False) / 8


def _together(build: Build, groups: Groups) -> Iterator[tuple[Optimizer, Callable[[], object]]]:
    optimizer = build(groups)
    yield optimizer, optimizer.step


def _each(build: Build, groups: Groups) -> Iterator[tuple[Optimizer, Callable[[], object]]]:
    """An optimizer for each parameter, as each process has one."""
    for parameter in [parameter for group in groups for parameter in group["params"]]:
        own = [{**group, "params": [p for p in group["params"] if p is parameter]} for group in groups]
        optimizer = build(own)
        yield optimizer, optimizer.step


def _in_parts(build: Build, groups: Groups) -> Iterator[tuple[Optimizer, Callable[[], object]]]:
    optimizer = build(groups)
    offloaded = OffloadedState(optimizer)
    offloaded.parts = [(i, [parameter]) for i, group in enumerate(groups) for parameter in group["params"]]
    yield optimizer, offloaded.step


def _difference(
    together: Sequence[tuple[Tensor, dict[str, float]]], alone: Sequence[tuple[Tensor, dict[str, float]]]
) -> str:
    """How the updates differ. Empty: they do not."""
    for (move, numbers), (other, others) in zip(together, alone, strict=True):
        size = float(move[move.isfinite()].abs().max()) if move.isfinite().any() else 0.0
        if not torch.allclose(move, other, rtol=0, atol=TOLERANCE * size, equal_nan=True):
            return "this one moves a parameter differently beside others"
        for name, value in numbers.items():
            if abs(value - others[name]) > TOLERANCE * abs(value):
                return f"this one computes {name!r} from all parameters"
    return ""
