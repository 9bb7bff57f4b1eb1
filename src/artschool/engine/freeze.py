"""Controls which parameters require gradients, and which layers are in train mode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase

from torch import nn

from artschool.errors import ConfigError


def require_gradients(parameters: Sequence[nn.Parameter], required: bool) -> None:
    """Set whether these parameters require gradients. The trainer keeps all others frozen (see `all_frozen`)."""
    for parameter in parameters:
        parameter.requires_grad = required


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
        if _matches(name, patterns) or getattr(parameter, "DO_NOT_TRAIN", False):
            parameter.requires_grad = False


def set_mode(network: nn.Module, patterns: bool | Sequence[str], *, trained: bool) -> None:
    """Put a network that a step trains into train mode, except for its frozen layers, and any other into eval mode.

    A layer is frozen if none of its parameters is trained and a pattern matches one of them. In eval mode, it also
    keeps its running statistics and drops nothing out, like a network that is frozen as a whole.

    Args:
        patterns: As given to `freeze`, which has been called.
    """
    network.train(trained)
    matching = {parameter for name, parameter in network.named_parameters() if _matches(name, patterns)}
    for layer in _frozen_layers(network, matching):
        layer.eval()


def _frozen_layers(module: nn.Module, matching: set[nn.Parameter]) -> Iterator[nn.Module]:
    parameters = list(module.parameters())
    if not matching.isdisjoint(parameters) and not any(parameter.requires_grad for parameter in parameters):
        yield module
        return
    for child in module.children():
        yield from _frozen_layers(child, matching)


def _matches(name: str, patterns: bool | Sequence[str]) -> bool:
    if isinstance(patterns, bool):
        return patterns
    return any(fnmatchcase(name, pattern) for pattern in patterns)
