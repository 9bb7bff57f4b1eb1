"""How adversarial losses call a critic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from torch import Tensor, nn

from artschool.components.injectors.add_noise import add_noise
from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError

Inputs: TypeAlias = Tensor | list[Tensor]
"""Inputs of a critic: samples, or a list of samples and their conditions, such as classes."""


def logits_of(critic: nn.Module | None, inputs: Inputs, *, noise: float = 0.0) -> list[Tensor]:
    """Call a critic, unless it has been called.

    Args:
        critic: The critic. None: `inputs` is what it has returned.
        inputs: Samples, or a list of samples and conditions.
        noise: Upper bound of the uniform noise, from 0, that is added to every floating-point input.

    Returns:
        The logits in float32 or better, one tensor for each scale or part of the critic.

    Raises:
        ConfigError: The critic returns something other than a tensor or a list of tensors, or `noise` has no inputs
            to be added to.
    """
    if critic is None:
        if noise:
            raise ConfigError("noise is added to the inputs of a critic (got network null). Fix: remove `noise`")
        return _checked(inputs, "the result of a critic")
    parts = as_list(inputs)
    if noise:
        parts = [add_noise(x, scale=noise, kind="uniform") if x.is_floating_point() else x for x in parts]
    return _checked(critic(*parts), type(critic).__name__)


def _checked(returned: Any, owner: str) -> list[Tensor]:
    logits = list(returned) if isinstance(returned, list | tuple) else [returned]
    for part in logits:
        if not isinstance(part, Tensor):
            raise ConfigError(
                f"{owner}: a critic must return logits: a tensor, or a list of tensors (got {type(part).__name__})"
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
