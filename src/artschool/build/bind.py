"""Turns components of the config into callables with everything bound except their keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from artschool.config.component import takes_list
from artschool.config.construct import construct
from artschool.config.mean_over import is_counted
from artschool.config.structure import Component, names_in
from artschool.data.seeds import derive, forked_rng
from artschool.engine.callbacks import GatedCallback
from artschool.engine.metrics import Accumulator, MeanOverSamples
from artschool.engine.train_context import TrainContext
from artschool.registry.entries import InjectorEntry, LossEntry
from artschool.registry.schedule import Schedule, value_at
from artschool.registry.signature import Context, Role
from artschool.steps.call import DROPPED, Call, InjectorCall, LossCall
from artschool.steps.full_precision import in_float32


class Binder:
    """Turns components into callables with everything bound except their keys.

    Args:
        networks: The networks by name; a moving average is named `<name>.ema`.
        context: The state of training that components can read.
        existing: Modules by path that are already built. They are used instead of building them again.
        seed: The seed of the run.

    Attributes:
        used: The networks that components call.
        modules: The components that are modules, by path. Checkpoints contain their state.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        context: TrainContext,
        existing: Mapping[str, nn.Module] | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self._networks = networks
        self._context = context
        self._existing = existing or {}
        self._seed = seed
        self.used: list[nn.Module] = []
        self.modules: dict[str, nn.Module] = {}

    @property
    def device(self) -> torch.device:
        """The device of training."""
        return self._context.device

    def for_evaluation(self, averages: Mapping[str, str]) -> Binder:
        """A binder that shares the modules of this one and replaces networks by moving averages.

        Args:
            averages: For each network to replace, the name of its moving average.
        """
        replaced = {name: self._networks[average] for name, average in averages.items()}
        return Binder({**self._networks, **replaced}, self._context, self.modules, seed=self._seed)

    def function(self, component: Component) -> tuple[Callable[..., Any], dict[str, Any]]:
        """The callable of an injector, loss or metric function, and the key or keys of each of its parameters."""
        target, at_call, keys = self._target(component)
        return self._with_options(component, target, at_call), keys

    def _with_options(
        self, component: Component, target: Callable[..., Any], options: dict[str, Any]
    ) -> Callable[..., Any]:
        """A callable that adds options to each call. Scheduled ones have the value of the iteration."""
        if not options:
            return target
        bound = partial(target, **options)
        for name, value in options.items():
            if isinstance(value, Schedule):
                # `keywords` is the dict that each call passes on.
                self._context.schedule(f"{component.path}.{name}", value.at, partial(bound.keywords.__setitem__, name))
        return bound

    def injector(self, component: Component) -> InjectorCall:
        """Bind an injector."""
        function, keys = self.function(component)
        entry = component.entry
        assert isinstance(entry, InjectorEntry)
        if entry.precision == "fp32":
            function = in_float32(function)
        if entry.no_grad:
            function = torch.no_grad()(function)
        return InjectorCall(
            component.path, component.node.place, function, keys, component.when, out=entry.out, once=entry.once
        )

    def loss(self, component: Component, step: str, name: str) -> LossCall:
        """Bind a loss of a step."""
        function, keys = self.function(component)
        assert isinstance(component.entry, LossEntry)
        weight = component.entry.weight
        call = LossCall(
            component.path,
            component.node.place,
            function,
            keys,
            component.when,
            weight=weight if isinstance(weight, str) else value_at(weight, 0),
            name=f"{step}/{name}",
            count=_count(component),
            out=component.entry.out if component.entry.out != DROPPED else None,
        )
        if isinstance(weight, Schedule):
            self._context.schedule(f"{component.path}.weight", weight.at, partial(setattr, call, "weight"))
        return call

    def callback(self, component: Component, networks: Mapping[str, nn.Module]) -> GatedCallback:
        """Build a callback of a step that trains `networks`."""
        assert component.registered is not None
        parameters = component.registered.signature.parameters
        options = {p.name: self._value(component, p.name, p.role) for p in parameters}
        built = construct_seeded(component, options, networks, seed=self._seed)
        if isinstance(built, nn.Module):
            self.modules[component.path] = on_device(built, self._context.device)
        return GatedCallback(component.path.rpartition(".")[2], built, component.when)

    def metric(self, component: Component) -> tuple[Call, Accumulator]:
        """Bind a metric. Returns the call that updates it, and the metric."""
        target, at_call, keys = self._target(component)
        metric: Any = target if hasattr(target, "compute") else MeanOverSamples(target)
        return Call(
            component.path,
            component.node.place,
            self._with_options(component, metric.update, at_call),
            keys,
            component.when,
        ), metric

    def _target(self, component: Component) -> tuple[Callable[..., Any], dict[str, Any], dict[str, Any]]:
        assert component.registered is not None
        signature = component.registered.signature
        at_build: dict[str, Any] = {}
        at_call: dict[str, Any] = {}
        keys: dict[str, Any] = {}
        for parameter in signature.parameters:
            name = parameter.name
            if parameter.role is Role.KEY:
                # A nested component gets its inputs from the component that contains it.
                if hasattr(component.entry, f"option_{name}"):
                    value = component.option(name)
                    (keys if any(names_in(value)) else at_call)[name] = value
                continue
            value = self._value(component, name, parameter.role)
            (at_call if parameter.at_call else at_build)[name] = value
        at_build |= component.others
        if not signature.is_class:
            return signature.target, {**at_build, **at_call}, keys
        existing = self._existing.get(component.path)
        built = construct_seeded(component, at_build, seed=self._seed) if existing is None else existing
        if isinstance(built, nn.Module):
            self.modules[component.path] = on_device(built, self._context.device)
        return built, at_call, keys

    def _value(self, component: Component, name: str, role: Role) -> Any:
        if role is Role.CONTEXT:
            path = re.sub(r"^steps\.([^.]+)\.\w+\.", r"\1/", component.path)
            return Context(self._context, path)
        if role is Role.NESTED:
            inner = component.nested.get(name)
            if isinstance(inner, list):
                return [self._nested(part) for part in inner]
            return self._nested(inner) if inner is not None else None
        value = component.option(name)
        return self._networks_in(value) if role is Role.NETWORK else value

    def _nested(self, component: Component) -> Callable[..., Any]:
        """A nested component as a function of the values of its keys, in the order of `in:`."""
        function, registered = self.function(component)[0], component.registered
        assert registered is not None
        inputs = registered.signature.inputs
        if component.kind not in ("injectors", "losses") or not inputs:
            return function
        whole = len(inputs) == 1 and takes_list(inputs[0].annotation)

        def call(*values: Any, **named: Any) -> Any:
            # By name, because a parameter for a network can precede those for keys.
            given = [list(values)] if whole and values else values
            return function(**{p.name: value for p, value in zip(inputs, given, strict=False)}, **named)

        return call

    def _networks_in(self, value: Any) -> Any:
        if isinstance(value, str):
            self.used.append(self._networks[value])
            return self._networks[value]
        return [self._networks_in(part) for part in value] if isinstance(value, list) else value


def _count(loss: Component) -> Call | None:
    """The call that counts the places that a loss is a mean over, if it counts any."""
    if not is_counted(loss):
        return None
    assert loss.registered is not None and loss.registered.mean is not None and loss.registered.mean.count is not None
    mean = loss.registered.mean
    given = {name: loss.option(name) for name in (*mean.options, *mean.keys)}
    keys = {name: given.pop(name) for name in mean.keys if any(names_in(given[name]))}
    return Call(loss.path, loss.node.place, partial(loss.registered.mean.count, **given), keys, loss.when)


def on_device(module: nn.Module, device: torch.device) -> nn.Module:
    """The module on a device; moved only if it is on another one.

    One without parameters and buffers may have tensors that only its `to` knows, such as the states of torchmetrics.
    """
    tensors = (*module.parameters(), *module.buffers())
    is_there = bool(tensors) and all(tensor.device == device for tensor in tensors)
    return module if is_there else module.to(device)


def construct_seeded(component: Component, options: Mapping[str, Any], *provided: Any, seed: int) -> Any:
    """Call the class or factory of a component, with generators that are seeded by `seed` and its path.

    So what it draws does not change when others are added, and is the same in every process. Afterwards, the generators
    are as before.

    Raises:
        ArtschoolError: As for `construct`.
    """
    with forked_rng(derive(seed, "component", component.path), torch.device("cpu")):
        return construct(component, options, *provided)
