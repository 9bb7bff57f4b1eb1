"""What the value of a loss is a mean over, declared when it is registered, so that parts of a batch can be weighted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from artschool.errors import ConfigError
from artschool.registry.signature import Role, Signature
from artschool.wording.names import allowed


class MeanOver(StrEnum):
    """What the value of a loss is a mean over.

    Attributes:
        SAMPLES: The samples: the loss of a batch is the mean of the losses of its samples.
        PLACES: The places that the function `count` counts, such as those of a mask.
        BATCH: Nothing: the loss compares the samples of a batch with each other, so the losses of its parts do not
            determine the loss of the batch.
    """

    SAMPLES = "samples"
    PLACES = "places"
    BATCH = "batch"


DeclaredMean = str | Callable[..., Any] | None
"""What `register(..., mean_over=...)` takes: a name of MeanOver, a function that returns one, or nothing."""
Count = Callable[..., Any] | None
"""What `register(..., count=...)` takes: a function that counts the places of a part, or nothing."""


@dataclass(frozen=True)
class Mean:
    """The declaration of a loss.

    Attributes:
        chosen: What the mean is over, or a function that chooses it. The function takes options of the loss, the names
            of its keys, or None for a key that is not given, and MeanOver of its nested losses.
        arguments: The parameters of `chosen`.
        count: Counts the places. Takes options and keys of the loss. None: the loss counts nothing.
        options: The parameters of `count` that are options.
        keys: The parameters of `count` that are keys.
    """

    chosen: Any
    arguments: tuple[str, ...] = ()
    count: Count = None
    options: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def of(self, values: Mapping[str, Any]) -> MeanOver | None:
        """What the mean of a loss is over, given the values of `arguments`. None: it is not known."""
        chosen = self.chosen(**values) if callable(self.chosen) else self.chosen
        if chosen is not None and chosen not in list(MeanOver):
            raise ConfigError(_unknown(chosen))
        return None if chosen is None else MeanOver(chosen)


def checked_mean(kind: str, signature: Signature, chosen: DeclaredMean, count: Count) -> Mean | None:
    """The declaration of a component, None if it declares nothing.

    Raises:
        ConfigError: The component is no loss, or the declaration does not fit its parameters.
    """
    if chosen is None and count is None:
        return None
    if kind != "losses":
        raise ConfigError(f"`mean_over` and `count` are for losses, not for {kind}")
    if chosen is None:
        chosen = MeanOver.PLACES
    if isinstance(chosen, str):
        _check_name(chosen, count)
    roles = {parameter.name: parameter.role for parameter in signature.parameters}
    arguments = _parameters("mean_over", chosen, roles, Role.NESTED) if callable(chosen) else ()
    counted = _parameters("count", count, roles) if count is not None else ()
    return Mean(
        chosen,
        arguments,
        count,
        tuple(name for name in counted if roles[name] is Role.OPTION),
        tuple(name for name in counted if roles[name] is Role.KEY),
    )


def _check_name(chosen: str, count: Count) -> None:
    if chosen not in list(MeanOver):
        raise ConfigError(_unknown(chosen))
    if (count is None) == (chosen == MeanOver.PLACES):
        expected = "needs `count`, a function that counts the places" if count is None else "does not use `count`"
        raise ConfigError(f"mean_over {str(chosen)!r} {expected}")


def _unknown(chosen: object) -> str:
    known = [over.value for over in MeanOver]
    return f"unknown mean_over {chosen!r}. {allowed('Available', str(chosen), known)}"


def _parameters(name: str, function: Callable[..., Any], roles: Mapping[str, Role], *more: Role) -> tuple[str, ...]:
    known = [parameter for parameter, role in roles.items() if role in (Role.KEY, Role.OPTION, *more)]
    parameters = tuple(inspect.signature(function).parameters)
    for parameter in parameters:
        if parameter not in known:
            raise ConfigError(
                f"{name}: {parameter!r} is not a key or option of the loss. {allowed('Available', parameter, known)}"
            )
    return parameters
