"""Observe the calls of a step: what each reads, writes and changes, and the faults that it raises."""

from __future__ import annotations

import inspect
import linecache
import re
import traceback
from collections.abc import Mapping
from dataclasses import replace
from itertools import takewhile
from typing import Any, cast

import torch
from torch import nn

from artschool.config.component import network_of
from artschool.config.data_keys import declared_keys
from artschool.config.streams import key_in
from artschool.config.structure import Component, Config
from artschool.errors import ArtschoolError, ConfigError, StateError
from artschool.faults import Fault, FaultKind, Place
from artschool.steps.call import Call, LossCall
from artschool.steps.state import State
from artschool.steps.step import Step
from artschool.trace.fake import is_about_missing_values
from artschool.trace.gradients import Gradients
from artschool.trace.keys import TracedKey, describe_kind, has_gradient, is_scalar, range_of, shown_as
from artschool.trace.unreached_losses import ObservedCall
from artschool.trace.writes import Contents, Frames, Writes
from artschool.wording.names import allowed

ONE_VALUE = "Expected more than 1 value per channel"
"""Part of the error of a batch norm in train mode whose batch has no variance."""
NO_GRADIENT = "does not require grad and does not have a grad_fn"
"""Part of the error of a gradient that is asked for where gradients are off."""

LEADING_SIZE = re.compile(r"(?<=[\[(])\d+")


class Untraceable(Exception):  # noqa: N818  # nothing went wrong
    """A component needs the values of tensors, which are missing in a trace."""


class Observer:
    """Makes calls and records what they do.

    Args:
        components: All components by path.
        modules: Networks, averages and components that are modules, by name, in this order.
        real: Whether tensors have values.

    Attributes:
        scope: The step that runs on batches of its own. "": the others.
        scopes: Every key that was written, as first written, by scope and key.
        gradients: Where the gradient of each loss goes.
        callers: The path of the first component that called each network.
        changes: Faults of components that changed a value in place.
    """

    def __init__(self, components: Mapping[str, Component], modules: dict[str, nn.Module], *, real: bool) -> None:
        self.components = components
        self.modules = modules
        self.real = real
        self.scope = ""
        self.scopes: dict[str, dict[str, TracedKey]] = {"": {}}
        self.changes: list[Fault] = []
        self._missing: dict[str, Fault] = {}
        self.callers: dict[str, str] = {}
        self.gradients = Gradients(components, modules, lambda: self.keys)

    @property
    def keys(self) -> dict[str, TracedKey]:
        """The keys of the current scope."""
        return self.scopes.setdefault(self.scope, {})

    def begin(self, batch: Mapping[str, Any], sources: Mapping[str, Component]) -> None:
        """Start with a batch of streams, each of which has a data set."""
        names = {
            key_in(stream, key): (data, key) for stream, data in sources.items() for key in declared_keys(data) or ()
        }
        self._missing = {name: _missing_key(*found, batch) for name, found in names.items() if name not in batch}
        for key, value in batch.items():
            stream, dot, _ = key.partition(".")
            data = sources[stream] if dot and stream in sources else next(iter(sources.values()))
            self._write(key, value, data.path, data.node.place)

    def call(self, call: Call, state: State) -> Any:
        """Make a call and record it.

        Raises:
            ConfigError: The call raised an error; carries its fault.
            Untraceable: The call needs the values of tensors.
        """
        component, before = self.components[call.path], set(state.values)
        for use in component.networks:
            self.callers.setdefault(network_of(use.name), component.path)
        reads = [use.name for use in component.inputs]
        gradient_in = any(has_gradient(state.values.get(name)) for name in reads)
        contents, written = Contents(state.values), Writes(state.values, self._location)
        try:
            with written, written.inputs_of(self._networks_of(component)):
                result = call(state)
        except Exception as error:  # The code of a component can raise anything.
            if not self.real and is_about_missing_values(error):
                raise Untraceable(f"{call.place}: {call.path} reads the values of tensors") from error
            missing = [_with_reader(self._missing[key], component) for key in reads if key in self._missing]
            raise ConfigError(missing or self._fault(call, state, error)) from error
        finally:
            locations = dict.fromkeys(contents.changed()) | written.found
            self.changes += [_changed_in_place(call, key, location) for key, location in locations.items()]
            self.changes += [_changed_input(call, name, at) for name, at in written.found_inputs.items()]
        writes = {key: value for key, value in state.values.items() if key not in before}
        if isinstance(call, LossCall) and call.out is not None:
            writes[call.out] = result  # The step writes it.
        for key, value in writes.items():
            self._write(key, value, call.path, call.place)
        self.gradients.hidden.record_call(call)
        self.gradients.record_call(ObservedCall(component, reads, writes, gradient_in))
        return self.gradients.record_loss(call, result) if isinstance(call, LossCall) else result

    def _networks_of(self, component: Component) -> dict[str, nn.Module]:
        return {use.name: self.modules[use.name] for use in component.networks if use.name in self.modules}

    def _write(self, key: str, value: Any, writer: str, place: Place) -> None:
        self.keys.setdefault(
            key,
            TracedKey(
                key,
                describe_kind(value),
                has_gradient(value),
                writer,
                place,
                shown_as(value),
                is_scalar(value),
                range_of(value),
            ),
        )

    def _fault(self, call: Call, state: State, error: Exception) -> Fault:
        frames = list(traceback.walk_tb(error.__traceback__))[::-1]
        module, registered = self._module_of(frames), self.components[call.path].registered
        inside = f" in {module}" if module else ""
        kind = FaultKind.BATCH_TOO_SMALL if ONE_VALUE in str(error) else FaultKind.OTHER
        advice = ["Fix: use a larger batch, or fewer micro-batches."] if kind is FaultKind.BATCH_TOO_SMALL else []
        advice += self._advice_on_gradients(call, error) + self._advice_on_arguments(frames, error)
        message, lines = f"fails{inside}: {_describe_error(error)}", _line_of_user(frames)
        if isinstance(error, ArtschoolError):
            message, lines = str(error).removeprefix(f"{call.place}: {call.path}: "), []
        assert registered is not None
        # In an evaluation, the same mistake gives the same message except for the size of the batch.
        cause = f"{module or registered.name}: {LEADING_SIZE.sub('', message)}"
        if isinstance(error, StateError):
            cause = ""  # It is about this entry of the file, such as its `out:`.
        return Fault(call.place, call.path, message, "\n".join([*lines, *call.inputs(state), *advice]), cause, kind)

    def _advice_on_gradients(self, call: Call, error: Exception) -> list[str]:
        """How a component that differentiates something gets gradients there."""
        if NO_GRADIENT not in str(error):
            return []
        if not torch.is_grad_enabled():
            return ["An evaluation runs without gradients. Fix: compute it inside of `with torch.enable_grad():`."]
        is_without = getattr(self.components[call.path].entry, "no_grad", False)
        return ["Fix: remove `no_grad: true`, which leaves nothing in it a gradient."] if is_without else []

    def _advice_on_arguments(self, frames: Frames, error: Exception) -> list[str]:
        """What a network takes, if it was called with too few or too many keys."""
        frame = frames[0][0]
        if "positional argument" not in str(error) or frame.f_globals.get("__name__") != nn.Module.__module__:
            return []  # The code of a network has begun, and calls something in a wrong way.
        network = frame.f_locals.get("self")
        if not isinstance(network, nn.Module) or network not in self.modules.values():
            return []  # The call of a part of a network is a mistake of its code, too.
        parameters = inspect.signature(network.forward).parameters.values()
        takes = ", ".join(str(parameter.replace(annotation=parameter.empty)) for parameter in parameters)
        return [f"{type(network).__name__} takes ({takes}). Fix: give one key for each."]

    def _location(self, frames: Frames) -> tuple[str, list[str]]:
        """The innermost module of a network in some frames, and the innermost line of a plugin."""
        inside = list(takewhile(lambda each: each[0].f_code is not Observer.call.__code__, frames))
        return self._module_of(inside), _line_of_user(inside)

    def _module_of(self, frames: Frames) -> str:
        """The innermost module of a network in some frames: `gen.body.3 (Conv2d)`."""
        names = {
            id(module): f"{name}.{path}" if path else name
            for name, outer in self.modules.items()
            for path, module in outer.named_modules()
        }
        for frame, _ in frames:
            module = frame.f_locals.get("self")
            if isinstance(module, nn.Module) and id(module) in names:
                return f"{names[id(module)]} ({type(module).__name__})"
        return ""


def _missing_key(data: Component, key: str, batch: Mapping[str, Any]) -> Fault:
    message = f"declares {key!r}, but its samples do not have it"
    return Fault(data.node.place, data.path, message, allowed("Available keys", key, batch))


def _changed_in_place(call: Call, key: str, location: tuple[str, list[str]] | None) -> Fault:
    module, lines = location or ("", [])
    inside = f" in {module}" if module else ""
    message = f"changes {key!r} in place{inside}, so whatever else reads the key gets another value"
    return Fault(call.place, call.path, message, "\n".join([*lines, "Fix: let it change a copy."]))


def _changed_input(call: Call, network: str, location: tuple[str, list[str]]) -> Fault:
    module, lines = location
    inside = f" in {module}" if module else ""
    message = f"{network} changes its input in place{inside}, so what is computed from the input afterwards is wrong"
    return Fault(call.place, call.path, message, "\n".join([*lines, "Fix: let it change a copy."]))


def _with_reader(fault: Fault, reader: Component) -> Fault:
    return replace(fault, hint=f"{fault.hint}\n{reader.path} reads it.")


def _line_of_user(frames: Frames) -> list[str]:
    """The innermost line outside of torch and artschool: of a plugin, or of the library that provides a network."""
    for frame, line in frames:
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in ("artschool", "torch", "torchmetrics"):
            file = frame.f_code.co_filename
            return [f"at {file}:{line}: {linecache.getline(file, line).strip()}"]
    return []


class Observed:
    """Replaces a call, so that an observer makes and records it."""

    def __init__(self, call: Call, observer: Observer) -> None:
        self._call = call
        self._observer = observer

    def __call__(self, state: State) -> Any:
        """Make the call."""
        return self._observer.call(self._call, state)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


def observe(step: Step, observer: Observer) -> None:
    """Replace each call of a step by an observed one."""
    step.injectors = [cast(Any, Observed(call, observer)) for call in step.injectors]
    step.losses = [cast(Any, Observed(call, observer)) for call in step.losses]
    step.late_injectors = [cast(Any, Observed(call, observer)) for call in step.late_injectors]


def components_of_file(config: Config) -> dict[str, Component]:
    """The components that run in steps and evaluations, by path."""
    steps, evaluations = config.steps.values(), config.evaluations.values()
    parts = [part for step in steps for part in (*step.injectors.values(), *step.losses.values())]
    parts += [part for e in evaluations for part in (*e.injectors.values(), *e.metrics.values())]
    return {part.path: part for part in parts}


def failure(place: Place, path: str, what: str, error: Exception) -> Fault:
    """The fault of code that is called between the calls of a step, such as a hook: what failed, by which line."""
    frames = list(traceback.walk_tb(error.__traceback__))[::-1]
    return Fault(place, path, f"{what}: {_describe_error(error)}", "\n".join(_line_of_user(frames)))


def _describe_error(error: Exception) -> str:
    """The class of an error, unless artschool raises it, and the first line of its message."""
    first = str(error).strip().split("\n", 1)[0].removesuffix(", but expected one of:").replace("FakeTensor", "Tensor")
    if isinstance(error, ArtschoolError):
        return first
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
