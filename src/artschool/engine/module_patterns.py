"""Finds modules of a network by patterns of their names."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from artschool.errors import ConfigError


def outermost_matching(network: nn.Module, patterns: Sequence[str], path: str) -> dict[str, nn.Module]:
    """The modules whose names match a pattern, such as `body.*`, by name, without submodules of others.

    Args:
        path: Location and path of the option with the patterns, for errors.

    Raises:
        ConfigError: A pattern matches no module.
    """
    matches = [matching(network, pattern, path) for pattern in patterns]
    return outermost({n: m for n, m in network.named_modules() if any(n in found for found in matches)})


def matching(network: nn.Module, pattern: str, path: str) -> dict[str, nn.Module]:
    """The modules whose names match a pattern, by name.

    Args:
        path: Location and path of the option with the pattern, for errors.

    Raises:
        ConfigError: The pattern matches no module.
    """
    modules = {name: module for name, module in network.named_modules() if name}
    found = {name: module for name, module in modules.items() if fnmatchcase(name, pattern)}
    if not found:
        known = f"{', '.join(list(modules)[:8])}{', ...' if len(modules) > 8 else ''}"
        raise ConfigError(f"{path}: {pattern!r} matches no module. Available modules: {known}")
    return found


def outermost(modules: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """Modules by name, in the order of `named_modules`, without those that are part of an earlier one."""
    chosen: dict[str, nn.Module] = {}
    for name, module in modules.items():
        if not any(name.startswith(f"{outer}.") for outer in chosen):
            chosen[name] = module
    return chosen
