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
    modules = {name: module for name, module in network.named_modules() if name}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in modules):
            known = f"{', '.join(list(modules)[:8])}{', ...' if len(modules) > 8 else ''}"
            raise ConfigError(f"{path}: {pattern!r} matches no module. Available modules: {known}")
    return outermost({n: m for n, m in modules.items() if any(fnmatchcase(n, pattern) for pattern in patterns)})


def outermost(modules: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """Modules by name, in the order of `named_modules`, without those that are part of an earlier one."""
    chosen: dict[str, nn.Module] = {}
    for name, module in modules.items():
        if not any(name.startswith(f"{outer}.") for outer in chosen):
            chosen[name] = module
    return chosen
