"""Controls which parameters require gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase

from torch import nn

from artschool.errors import ConfigError


@contextmanager
def unfrozen(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Let these parameters require gradients. The trainer keeps all others frozen (see `all_frozen`)."""
    for parameter in parameters:
        parameter.requires_grad = True
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad = False


@contextmanager
def all_frozen(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Freeze every parameter; afterwards, restore which of them required gradients."""
    parameters = [parameter for network in networks for parameter in network.parameters()]
    required = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter, flag in zip(parameters, required, strict=True):
            parameter.requires_grad = flag


def freeze(network: nn.Module, patterns: bool | Sequence[str], path: str) -> None:
    """Freeze a network, or its parameters that match a pattern such as `encoder.*`, for the whole run.

    Parameters that the network's code marks with `DO_NOT_TRAIN` are frozen too.

    Args:
        patterns: True freezes all parameters.
        path: Location of the network in the config file, for errors.

    Raises:
        ConfigError: A pattern matches no parameter.
    """
    names = [name for name, _ in network.named_parameters()]
    for pattern in patterns if isinstance(patterns, Sequence) else ():
        if not any(fnmatchcase(name, pattern) for name in names):
            known = f"{', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
            raise ConfigError(f"{path}.frozen: {pattern!r} matches no parameter. Available parameters: {known}")
    for name, parameter in network.named_parameters():
        matches = patterns is True or (patterns and any(fnmatchcase(name, pattern) for pattern in patterns))
        if matches or getattr(parameter, "DO_NOT_TRAIN", False):
            parameter.requires_grad = False
