"""The units of a network: the modules whose parameters are gathered and freed together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from artschool.engine.module_patterns import matching, outermost
from artschool.errors import ConfigError

LEAST_OF_UNIT = 1_000_000
"""Number of parameters from which a module of a list is a unit, if the file names no units."""
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def units_of(network: nn.Module, wrap: Sequence[str] | None, path: str) -> dict[str, nn.Module]:
    """The modules of a network that are gathered on their own, by name.

    Raises:
        ConfigError: A pattern matches no module, only modules without forward, or one that shares its parameters.
    """
    if wrap is None:
        large = {name: module for name, module in _listed_modules(network) if _size(module) >= LEAST_OF_UNIT}
        return {n: m for n, m in outermost(large).items() if _has_forward(m) and not _shares(network, m)}
    found = [_callable_matching(network, pattern, f"{path}.wrap") for pattern in wrap]
    units = outermost({n: m for n, m in network.named_modules() if any(n in matches for matches in found)})
    for name, module in units.items():
        if _shares(network, module):
            raise ConfigError(
                f"{path}.wrap: {name!r} shares a parameter with a module outside of it, so it cannot be gathered on "
                "its own. Fix: leave it out"
            )
    return units


def _callable_matching(network: nn.Module, pattern: str, path: str) -> dict[str, nn.Module]:
    """The modules with a forward whose names match a pattern. Lists are passed over, and so are their parameters.

    Raises:
        ConfigError: The pattern matches no such module.
    """
    matches = matching(network, pattern, path)
    found = {name: module for name, module in matches.items() if _has_forward(module)}
    if not found:
        name, module = next(iter(matches.items()))
        fix = f"write '{name}.*' for the modules in it" if any(True for _ in module.children()) else "leave it out"
        raise ConfigError(f"{path}: {name!r} has no forward (it is a {type(module).__name__}). Fix: {fix}")
    return found


def _listed_modules(network: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """The modules in lists, dicts and sequences of modules, with their names."""
    parents = {name: isinstance(module, CONTAINERS) for name, module in network.named_modules()}
    return [(n, m) for n, m in network.named_modules() if n and parents.get(n.rpartition(".")[0])]


def _has_forward(module: nn.Module) -> bool:
    return type(module).forward is not nn.Module.forward or "forward" in vars(module)


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _shares(network: nn.Module, unit: nn.Module) -> bool:
    """Whether a parameter of a module also belongs to a module outside of it."""
    own, inside = set(unit.parameters()), set(unit.modules())
    outside = (module for module in network.modules() if module not in inside)
    return any(parameter in own for module in outside for parameter in module._parameters.values())
