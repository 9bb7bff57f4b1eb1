"""Networks with their weights, each built when it is first used, and injectors bound to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import nn

from artschool.build.bind import Binder, on_device
from artschool.build.networks import build_networks
from artschool.config.component import network_of
from artschool.config.network_options import weights_of
from artschool.config.structure import Component, Config
from artschool.diff.settings import settings_of
from artschool.engine.checkpoint_state import checked
from artschool.engine.ema import Ema
from artschool.engine.hooks import hooks
from artschool.engine.meters import Meters
from artschool.engine.module_state import Kind, buffer_kinds
from artschool.engine.restore_modules import ModuleRestorer
from artschool.engine.resume_report import ResumeReport
from artschool.engine.train_context import TrainContext
from artschool.errors import ConfigError
from artschool.steps.call import InjectorCall
from artschool.storage.checkpoint_store import Checkpoint
from artschool.wording.names import allowed

Note = Callable[[str], None]


@dataclass
class _Parts:
    """What is restored at once. See `HasModules`."""

    config: Any
    settings: Any
    networks: dict[str, nn.Module] = field(default_factory=dict)
    emas: dict[str, Ema] = field(default_factory=dict)
    modules: dict[str, nn.Module] = field(default_factory=dict)
    built_buffers: dict[str, dict[str, Kind | None]] = field(default_factory=dict)


class Bound(NamedTuple):
    """An injector that can be called, with the modules that it calls."""

    call: InjectorCall
    modules: Sequence[nn.Module]


class Modules:
    """Builds networks and injectors with the state of a checkpoint: on a device, in eval mode, without gradients.

    Each is built when it is first asked for, and kept. Without a checkpoint, networks have the weights that the file
    names.
    """

    def __init__(self, config: Config, checkpoint: Checkpoint | None, device: torch.device, note: Note) -> None:
        self._config, self._note = config, note
        self._checkpoint = None if checkpoint is None else checked(checkpoint)
        self.context = TrainContext(device, Meters())
        # As at the last iteration, whose gates and scheduled numbers apply.
        self.context.iteration = 0 if self._checkpoint is None else max(self._checkpoint.state["iteration"] - 1, 0)
        self._networks: dict[str, nn.Module] = {}
        self._bound: dict[str, tuple[Mapping[str, str], Bound]] = {}

    def network(self, name: str) -> nn.Module:
        """A network or a moving average, by a name such as `gen` or `gen.ema`.

        Raises:
            ConfigError: The file does not have it.
            CheckpointError: The checkpoint does not have it, or it does not fit.
        """
        if name not in self._networks:
            known = [*self._config.networks, *(average.name for average in self._config.averages.values())]
            if name not in known:
                raise ConfigError(f"unknown network {name!r}. {allowed('Available networks', name, known)}")
            self._networks[name] = self._built(name)
        return self._networks[name]

    def bound(self, injector: Component, averages: Mapping[str, str]) -> Bound:
        """Bind an injector.

        Args:
            averages: For each network to replace, the name of its moving average.
        """
        known = self._bound.get(injector.path)
        if known is not None and known[0] == averages:
            return known[1]
        names = {use.name: averages.get(use.name, use.name) for use in injector.networks}
        networks = {name: self.network(called) for name, called in names.items()}
        binder = Binder(networks, self.context, seed=self._config.sections.seed)
        call = binder.injector(injector)
        if self._checkpoint is not None:
            parts = self._parts()
            parts.modules = binder.modules
            parts.built_buffers = {path: buffer_kinds(module) for path, module in binder.modules.items()}
            ModuleRestorer(parts, self._checkpoint, ResumeReport()).components()
        for module in binder.modules.values():
            module.eval().requires_grad_(False)
        bound = Bound(call, [*networks.values(), *binder.modules.values()])
        self._bound[injector.path] = (averages, bound)
        return bound

    def _built(self, name: str) -> nn.Module:
        base = network_of(name)
        network = build_networks(self._config, self._note, names=[base], restored=self._checkpoint is not None)[base]
        if self._checkpoint is not None:
            parts = self._parts()
            parts.built_buffers = {name: buffer_kinds(network)}
            ModuleRestorer(parts, self._checkpoint, ResumeReport()).module(network, name)
        elif weights_of(self._config.networks[base]) is None:
            self._note(f"warning: networks.{base}: has no `weights:`, so it computes with its first, random values")
        own = next((average.name for average in self._config.averages_of(base)), name)
        for _, hook in hooks({base: network}, "provide_ema") if own != name else ():
            hook(self.network(own))
        return on_device(network, self.context.device).eval().requires_grad_(False)

    def _parts(self) -> _Parts:
        return _Parts(self._config.tree.masked(), self._settings)

    @cached_property
    def _settings(self) -> dict[str, Any]:
        return settings_of(self._config)


class Networks(Mapping[str, nn.Module]):
    """The networks of a run by name. Moving averages take the place of their networks.

    Args:
        names: The name of the network or average in place of each network.
    """

    def __init__(self, modules: Modules, names: Mapping[str, str]) -> None:
        self._modules, self._names = modules, names

    def __getitem__(self, name: str) -> nn.Module:
        return self._modules.network(self._names.get(name, name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<networks {', '.join(self._names)}>"
