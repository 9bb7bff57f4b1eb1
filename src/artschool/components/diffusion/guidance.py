"""Conditions of a network: dropped at random in training, amplified in sampling (classifier-free guidance)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import Tensor, nn

from artschool.components.injectors.forward import in_mode
from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.wording.names import allowed

Model: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""A network with its conditions: (B, C, ...) and times (B,) to its prediction."""
Conditions: TypeAlias = Mapping[str, Tensor | float | None]
"""Values by parameter of the network."""
Nothing: TypeAlias = Mapping[str, Tensor | float]
"""Values that mean "no condition", by the same names."""


def drop_conditions(
    conditions: Conditions, nothing: Nothing, probability: float, batch: int, device: torch.device
) -> dict[str, Tensor | float | None]:
    """Drop the conditions of random samples, all conditions of a sample at once.

    Args:
        conditions: Values by parameter of the network.
        nothing: Number or tensor that means "no condition", by the same names; conditions without one are never
            dropped.
        probability: Probability that a sample loses its conditions, in 0..1.

    Source: Ho and Salimans 2022, arXiv:2207.12598, algorithm 1.
    """
    if not probability:
        return dict(conditions)
    dropped = torch.rand(batch, device=device) < probability
    without = without_conditions(conditions, nothing)
    return {
        name: _choose(dropped, without[name], value) if name in nothing else value for name, value in conditions.items()
    }


def without_conditions(conditions: Conditions, nothing: Nothing) -> dict[str, Tensor | float | None]:
    """Return the conditions, each replaced by its value for "no condition" if it has one.

    Raises:
        ConfigError: `nothing` is empty, names an unknown condition, or names a number, which all samples share; or its
            value has another shape than the condition.
    """
    for name in nothing:
        if name not in conditions:
            raise ConfigError(
                f"nothing: unknown condition {name!r}. {allowed('Available conditions', name, conditions)}"
            )
        if not isinstance(conditions[name], Tensor):
            raise ConfigError(
                f"nothing: expected the key of a tensor for condition {name!r}, got the number {conditions[name]}, "
                "which all samples share. Fix: give the condition a key"
            )
    if not nothing:
        raise ConfigError(
            'guidance and drop_probability require `nothing`. Fix: name the value that means "no condition", such as '
            "`nothing: {label: 10}`"
        )
    return {
        name: _as(nothing[name], value, name) if isinstance(value, Tensor) and name in nothing else value
        for name, value in conditions.items()
    }


def conditioned(network: nn.Module, conditions: Conditions) -> Model:
    """Return a network with its conditions bound and its output in float32 or better."""

    def model(x: Tensor, t: Tensor) -> Tensor:
        return at_least_float32(network(x, t, **conditions))

    return model


def guided(network: nn.Module, conditions: Conditions, nothing: Nothing | None, guidance: float) -> Model:
    """Return a network with classifier-free guidance.

    `f(x) + guidance (f(x, c) - f(x))` in one call of twice the batch; 1 is the network without guidance. Channels
    beyond those of x, such as a learned variance, are taken from the output with conditions.

    Source: Ho and Salimans 2022, arXiv:2207.12598, eq. 6, with guidance = 1 + w.
    """
    if guidance == 1:
        return conditioned(network, conditions)
    without = without_conditions(conditions, nothing or {})
    both = {name: _joined(value, without[name]) for name, value in conditions.items()}

    def model(x: Tensor, t: Tensor) -> Tensor:
        output = at_least_float32(network(torch.cat([x, x]), torch.cat([t, t]), **both))
        with_conditions, free = output.chunk(2)
        channels = x.shape[1]
        prediction = torch.lerp(free[:, :channels], with_conditions[:, :channels], guidance)
        return torch.cat([prediction, with_conditions[:, channels:]], 1)

    return model


@contextmanager
def sampled(
    network: nn.Module, conditions: Conditions | None, nothing: Nothing | None, guidance: float
) -> Iterator[Model]:
    """Use a network for sampling: guided, in eval mode and without gradients. Its modes are restored afterwards."""
    with torch.no_grad(), in_mode(network, "eval"):
        yield guided(network, conditions or {}, nothing, guidance)


def _as(nothing: Tensor | float, condition: Tensor, name: str) -> Tensor:
    """The value for "no condition" of a whole batch, in the type of the condition."""
    if not isinstance(nothing, Tensor):
        return torch.full_like(condition, nothing)
    if nothing.shape[1:] != condition.shape[1:] or len(nothing) not in (1, len(condition)):
        expected = f"{tuple(condition.shape)} or {(1, *condition.shape[1:])}"
        raise ConfigError(f"nothing.{name}: expected the shape {expected}, got {tuple(nothing.shape)}")
    return nothing.to(condition.dtype).expand_as(condition)


def _choose(dropped: Tensor, without: Tensor | float | None, value: Tensor | float | None) -> Tensor | float | None:
    if not isinstance(value, Tensor) or without is None:
        return value
    return torch.where(dropped.view(-1, *[1] * (value.ndim - 1)), without, value)


def _joined(value: Tensor | float | None, without: Tensor | float | None) -> Tensor | float | None:
    if isinstance(value, Tensor) and isinstance(without, Tensor):
        return torch.cat([value, without])
    return value
