"""Notices when the code of a network replaces one of its tensors or submodules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from torch import nn

from artschool.errors import StateError


class Identities:
    """The objects in some dicts. Comparing them takes microseconds and reads no values."""

    def __init__(self, tables: Iterable[Mapping[str, object]]) -> None:
        self._views = [table.values() for table in tables]
        self._seen = list(chain.from_iterable(self._views))  # Kept alive, so that no other object gets their ids.
        self._ids = list(map(id, self._seen))

    def changed(self) -> bool:
        """Whether an object was added, removed or replaced by another one."""
        return list(map(id, chain.from_iterable(self._views))) != self._ids


def tables_of(module: nn.Module) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The dicts in which torch stores the parameters, buffers and submodules of a module, without deeper ones."""
    return module._parameters, module._buffers, module._modules


class TrainedParameters:
    """The parameters that optimizers move. An optimizer cannot move one that takes their place later.

    Args:
        networks: The networks that a step trains, by name.
    """

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        self._networks = networks
        self._parameters = {name: dict(network.named_parameters()) for name, network in networks.items()}
        self._identities = self._observe()

    def check(self) -> None:
        """Compare the parameters of the networks with those from before. Reads no values.

        Raises:
            StateError: The code of a network has replaced, added or removed a parameter.
        """
        if not self._identities.changed():
            return
        for name, network in self._networks.items():
            before, now = self._parameters[name], dict(network.named_parameters())
            for parameter in {**before, **now}:
                if before.get(parameter) is not now.get(parameter):
                    verb = "added" if parameter not in before else "replaced" if parameter in now else "removed"
                    raise StateError(
                        f"networks.{name}: its code has {verb} the parameter {parameter!r} after the optimizers were "
                        "built, so no optimizer moves the parameter that it uses now. Fix: create all parameters in "
                        "`__init__`, and change values in place: `with torch.no_grad(): parameter.copy_(values)`"
                    )
        self._identities = self._observe()

    def _observe(self) -> Identities:
        modules = [module for network in self._networks.values() for module in network.modules()]
        return Identities(table for module in modules for table in (module._parameters, module._modules))
