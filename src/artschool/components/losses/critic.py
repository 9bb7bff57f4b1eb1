"""How adversarial losses call a critic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor, nn

from artschool.components.injectors.add_noise import add_noise
from artschool.components.losses.precision import at_least_float32
from artschool.errors import ConfigError

Inputs: TypeAlias = Tensor | list[Tensor]
"""Inputs of a critic: samples, or a list of samples and their conditions, such as classes."""


def logits_of(critic: nn.Module, inputs: Inputs, *, noise: float = 0.0) -> list[Tensor]:
    """Call a critic.

    Args:
        noise: Upper bound of the uniform noise, from 0, that is added to every floating-point input.

    Returns:
        The logits in float32 or better, one tensor for each scale or part of the critic.

    Raises:
        ConfigError: The critic returns something other than a tensor or a list of tensors.
    """
    parts = as_list(inputs)
    if noise:
        parts = [add_noise(x, scale=noise, kind="uniform") if x.is_floating_point() else x for x in parts]
    returned = critic(*parts)
    logits = list(returned) if isinstance(returned, list | tuple) else [returned]
    for part in logits:
        if not isinstance(part, Tensor):
            raise ConfigError(
                f"{type(critic).__name__}: a critic must return logits: a tensor, or a list of tensors "
                f"(got {type(part).__name__})"
            )
    return [at_least_float32(part) for part in logits]


def as_list(inputs: Inputs) -> list[Tensor]:
    """The inputs as a list, samples first."""
    return [inputs] if isinstance(inputs, Tensor) else inputs


def detached(inputs: Inputs) -> list[Tensor]:
    """The inputs as a list of detached tensors."""
    return [part.detach() for part in as_list(inputs)]


def total(terms: Sequence[Tensor]) -> Tensor:
    """The sum of one or more scalars."""
    return sum(terms[1:], start=terms[0])
