"""A copy of a network whose tensors and submodules are matched with those of the network by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from artschool.engine.frozen_copy import frozen_copy
from artschool.engine.identities import Identities, tables_of


class MatchedCopy:
    """A frozen copy of a network, which gets the structure of the network again after the network's code changes it.

    Attributes:
        module: The copy, in eval mode.

    Raises:
        ConfigError: The network cannot be copied.
    """

    def __init__(self, network: nn.Module) -> None:
        self.module = frozen_copy(network)
        self._network = network
        # The module of the network of which each module of the copy is a copy.
        self._originals = dict(zip(self.module.modules(), network.modules(), strict=False))

    def match(self, *, on_any_device: bool) -> dict[Tensor, Tensor]:
        """Add, replace and remove tensors and submodules of the copy until its names are those of the network.

        Args:
            on_any_device: Whether a tensor of the copy may stay on another device than that of the network.

        Returns:
            The tensor of the copy for each tensor of the network.
        """
        found = _Counterparts(on_any_device=on_any_device)
        pairs = list(self._pairs(self._network, self.module, set()))
        for module, copied in pairs:
            for theirs, own in zip(tables_of(module)[:2], tables_of(copied)[:2], strict=True):
                _match_tables(theirs, own, found.of)
        self._identities = Identities(table for pair in pairs for module in pair for table in tables_of(module))
        return found

    def has_changed(self) -> bool:
        """Whether a tensor or submodule of the network or the copy is another object since the last `match`."""
        return self._identities.changed()

    def take_modes(self) -> None:
        """Put each module of the copy into the mode of its original."""
        for copied, original in self._originals.items():
            copied.training = original.training

    def _pairs(self, source: nn.Module, copied: nn.Module, seen: set[nn.Module]) -> Iterator[tuple[nn.Module, ...]]:
        """The modules of the network with their copies, each once. Copies those that are new."""
        if source in seen:
            return
        seen.add(source)
        yield source, copied
        _match_tables(source._modules, copied._modules, self._copy_of)
        for name, child in source._modules.items():
            if child is not None:
                yield from self._pairs(child, copied._modules[name], seen)  # type: ignore[arg-type]  # just matched

    def _copy_of(self, module: nn.Module, before: nn.Module | None) -> nn.Module:
        if before is not None and self._originals.get(before) is module:
            return before
        copied = frozen_copy(module)
        self._originals |= zip(copied.modules(), module.modules(), strict=False)
        return copied


def _match_tables(source: Mapping[str, Any], own: dict[str, Any], counterpart: Callable[[Any, Any], Any]) -> None:
    """Give a dict the names of another one, with the counterpart of each value."""
    for name in [name for name in own if name not in source]:
        del own[name]
    for name, value in source.items():
        before = own.get(name)
        after = None if value is None else counterpart(value, before)
        if after is not before or name not in own:
            own[name] = after


class _Counterparts(dict[Tensor, Tensor]):
    """The tensor of a copy for each tensor of its network. Shared tensors stay shared."""

    def __init__(self, *, on_any_device: bool) -> None:
        self._taken: set[Tensor] = set()
        self._on_any_device = on_any_device

    def of(self, tensor: Tensor, before: Tensor | None) -> Tensor:
        """The counterpart of a tensor: `before` if it fits, else a copy."""
        if tensor not in self:
            fits = before is not None and before not in self._taken and self._kind(before) == self._kind(tensor)
            self[tensor] = before if before is not None and fits else _frozen(tensor)
            self._taken.add(self[tensor])
        return self[tensor]

    def _kind(self, tensor: Tensor) -> tuple[object, ...]:
        return tensor.shape, tensor.dtype, None if self._on_any_device else tensor.device


def _frozen(tensor: Tensor) -> Tensor:
    copied = tensor.detach().clone()
    return nn.Parameter(copied, requires_grad=False) if isinstance(tensor, nn.Parameter) else copied
