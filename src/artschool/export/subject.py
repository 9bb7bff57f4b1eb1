"""A network of a run that is exported, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from artschool.config.component import network_of
from artschool.config.structure import Component
from artschool.engine.data_examples import NetworkCall
from artschool.errors import ConfigError
from artschool.model.model import Model
from artschool.wording.names import allowed


@dataclass(frozen=True)
class Subject:
    """A network of a run.

    Attributes:
        name: Its name, such as `gen`, or `gen.ema` for a moving average that is named.
        call: How training calls it.
        is_average: Whether the weights are a moving average.
    """

    model: Model
    name: str
    network: nn.Module
    component: Component
    call: NetworkCall
    is_average: bool

    @property
    def summary(self) -> str:
        """What is exported, in a line."""
        weights = "the moving average" if self.is_average else "the raw weights"
        method = "" if self.call.method is None else f", method {self.call.method}"
        return f"{self.name} after {self.model.iteration:,} iterations: {weights}{method}"

    @property
    def type(self) -> str:
        """The type of the network in the file."""
        assert self.component.entry is not None
        return str(getattr(self.component.entry, "type", ""))


def subject_of(model: Model, name: str | None) -> Subject:
    """A network by name, or one of its methods such as `vq.encode`. None: the only network of the run.

    Raises:
        ConfigError: There is no such network, or training has not called it.
    """
    names = list(model.config.networks)
    if name is None and len(names) > 1:
        raise ConfigError(f"expected the name of a network. Available networks: {', '.join(names)}")
    name = name or names[0]
    averages = [average.name for average in model.config.averages.values()]
    base = network_of(name)
    network = name if name in averages else base
    if base not in names:
        raise ConfigError(f"unknown network {name!r}. {allowed('Available networks', name, [*names, *averages])}")
    wanted = base if network == name else name
    calls = {key: call for key, call in model.calls.items() if key == wanted or key.startswith(f"{wanted}.")}
    if not calls:
        known = sorted(key for key in model.calls if key.partition(".")[0] == base)
        listed = f"Available calls: {', '.join(known)}" if known else "Fix: train one more iteration, which records it"
        raise ConfigError(f"{name}: {model.folder} does not say how training calls it. {listed}")
    call = calls.get(wanted) or next(iter(calls.values()))
    is_average = network in averages or base in model.averaged
    return Subject(model, name, model[network], model.config.networks[base], call, is_average)
