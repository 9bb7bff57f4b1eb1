"""Conditions of a network: dropped at random in training, and followed more closely in sampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from artschool.components.losses.precision import at_least_float32
from artschool.errors import ConfigError, allowed

Model: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""A network with its conditions: (B, C, ...) at times (B,) to what it predicts."""
Conditions: TypeAlias = Mapping[str, Tensor | float]


def drop_conditions(
    conditions: Conditions, nothing: Mapping[str, float], probability: float, batch: int, device: torch.device
) -> dict[str, Tensor | float]:
    """Replace the conditions of random samples, all of a sample at once.

    Args:
        conditions: By the network's parameter.
        nothing: The value that stands for no condition, by the same names; the others are never dropped.
        probability: How many of the samples lose them, in 0..1.

    Source: Ho and Salimans 2022, arXiv:2207.12598, algorithm 1.
    """
    if not probability:
        return dict(conditions)
    dropped = torch.rand(batch, device=device) < probability
    without = without_conditions(conditions, nothing)
    return {
        name: _choose(dropped, without[name], value) if name in nothing else value for name, value in conditions.items()
    }


def without_conditions(conditions: Conditions, nothing: Mapping[str, float]) -> dict[str, Tensor | float]:
    """The conditions with those that have a value for no condition replaced by it.

    Raises:
        ConfigError: There is none, or one is no condition, or a number, which all samples share.
    """
    for name in nothing:
        if name not in conditions:
            raise ConfigError(f"`nothing` names {name!r}. {allowed('The conditions are', name, conditions)}")
        if not isinstance(conditions[name], Tensor):
            raise ConfigError(
                f"`nothing` names {name!r}, which is a number and the same for all samples; give it a key"
            )
    if not nothing:
        raise ConfigError("conditions cannot be left out without `nothing`: their values that stand for no condition")
    return {
        name: torch.full_like(value, nothing[name]) if isinstance(value, Tensor) and name in nothing else value
        for name, value in conditions.items()
    }


def conditioned(network: nn.Module, conditions: Conditions) -> Model:
    """A network with its conditions, its output in float32 or better."""

    def model(x: Tensor, t: Tensor) -> Tensor:
        return at_least_float32(network(x, t, **conditions))

    return model


def guided(network: nn.Module, conditions: Conditions, nothing: Mapping[str, float] | None, guidance: float) -> Model:
    """A network that follows its conditions `guidance` times as far as it is led by them.

    `f(x) + guidance (f(x, c) - f(x))` in one call of twice the batch; 1 is the network as it is. Channels beyond
    those of x, such as a learned variance, are those with conditions.

    Source: Ho and Salimans 2022, arXiv:2207.12598, eq. 6, with guidance = 1 + w.
    """
    if guidance == 1:
        return conditioned(network, conditions)
    without = without_conditions(conditions, nothing or {})
    both = {name: _joined(value, without[name]) for name, value in conditions.items()}

    def model(x: Tensor, t: Tensor) -> Tensor:
        output = at_least_float32(network(torch.cat([x, x]), torch.cat([t, t]), **both))
        led, free = output.chunk(2)
        channels = x.shape[1]
        prediction = torch.lerp(free[:, :channels], led[:, :channels], guidance)
        return torch.cat([prediction, led[:, channels:]], 1)

    return model


def _choose(dropped: Tensor, without: Tensor | float, value: Tensor | float) -> Tensor | float:
    if not isinstance(value, Tensor):
        return value
    return torch.where(dropped.view(-1, *[1] * (value.ndim - 1)), without, value)


def _joined(value: Tensor | float, without: Tensor | float) -> Tensor | float:
    if isinstance(value, Tensor) and isinstance(without, Tensor):
        return torch.cat([value, without])
    return value
