"""What each call of a plan reads and writes, and where a gradient goes from each loss."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from torch import Tensor, nn

from artschool.config.flow import declared_keys
from artschool.config.structure import Component, Config
from artschool.errors import ArtschoolError, ConfigError, Fault, FaultKind, Place, StateError, allowed
from artschool.steps.call import Call, LossCall
from artschool.steps.state import State
from artschool.steps.step import Step
from artschool.trace.fake import needs_values
from artschool.trace.gradients import Gradients, Seen
from artschool.trace.keys import TracedKey, describe_kind, has_gradient, is_drawable

ONE_VALUE = "Expected more than 1 value per channel"
"""What batch norms say in train mode to a batch that has no variance."""

LEADING_SIZE = re.compile(r"(?<=[\[(])\d+")


class Untraceable(Exception):  # noqa: N818  # nothing went wrong
    """A component needs the values of tensors, which a trace does not have."""


class Observer:
    """Takes notes while a plan runs.

    Args:
        components: By path.
        modules: Networks, averages and components that are modules, by name, in this order.
        real: Whether tensors have values.

    Attributes:
        keys: Every key that was written, as it was first.
        gradients: Where the gradient of each loss goes.
        callers: The first component that called each network.
        changed: Sentences about who changed what it read in place, in the present step.
    """

    def __init__(self, components: Mapping[str, Component], modules: dict[str, nn.Module], *, real: bool) -> None:
        self.components = components
        self.modules = modules
        self.real = real
        self.keys: dict[str, TracedKey] = {}
        self.changed: list[str] = []
        self._lacking: dict[str, Fault] = {}
        self.callers: dict[str, str] = {}
        self.gradients = Gradients(components, modules, self.keys)

    def begin(self, batch: Mapping[str, Any], data: Component) -> None:
        """A batch of a data set comes."""
        self._lacking = {key: _lacking(data, key, batch) for key in declared_keys(data) or () if key not in batch}
        for key, value in batch.items():
            self._write(key, value, data.path, data.node.place)

    def call(self, call: Call, state: State) -> Any:
        """Make a call.

        Raises:
            ConfigError: With its fault, if it raises.
            Untraceable: It needs values.
        """
        component, before = self.components[call.path], set(state.values)
        for use in component.networks:
            self.callers.setdefault(use.name.removesuffix(".ema"), component.path)
        reads = [use.name for use in component.reads]
        gradient_in = any(has_gradient(state.values.get(name)) for name in reads)
        versions = _versions(state, reads)
        try:
            result = call(state)
        except Exception as error:
            if not self.real and needs_values(error):
                raise Untraceable(f"{call.place}: {call.path} looks at the values of tensors") from error
            lacking = [_with_reader(self._lacking[key], component) for key in reads if key in self._lacking]
            raise ConfigError(lacking or self._fault(call, state, error)) from error
        changed = [name for name, version in _versions(state, reads).items() if version != versions[name]]
        self.changed += [
            f"{call.path} ({call.place}) changes {name!r} in place; let it make a copy." for name in changed
        ]
        writes = {key: value for key, value in state.values.items() if key not in before}
        for key, value in writes.items():
            self._write(key, value, call.path, call.place)
        self.gradients.saw(Seen(component, reads, writes, gradient_in))
        return self.gradients.follow(call, result) if isinstance(call, LossCall) else result

    def _write(self, key: str, value: Any, writer: str, place: Place) -> None:
        self.keys.setdefault(
            key, TracedKey(key, describe_kind(value), has_gradient(value), writer, place, is_drawable(value))
        )

    def _fault(self, call: Call, state: State, error: Exception) -> Fault:
        where, registered = self._module_of(error), self.components[call.path].registered
        inside = f" in {where}" if where else ""
        kind = FaultKind.BATCH_TOO_SMALL if ONE_VALUE in str(error) else FaultKind.OTHER
        advice = ["Take a larger batch, or fewer parts of one."] if kind is FaultKind.BATCH_TOO_SMALL else []
        message, lines = f"fails{inside}: {describe_error(error)}", _line_of_user(error)
        if isinstance(error, ArtschoolError):
            message, lines = str(error).removeprefix(f"{call.place}: {call.path}: "), []
        assert registered is not None
        # An evaluation says the same of the same module, or component, but for the size of its batches.
        cause = f"{where or registered.name}: {LEADING_SIZE.sub('', message)}"
        if isinstance(error, StateError):
            cause = ""  # It is about the line itself, such as its `out:`.
        return Fault(call.place, call.path, message, "\n".join([*lines, *call.inputs(state), *advice]), cause, kind)

    def _module_of(self, error: Exception) -> str:
        """The deepest module of a network that was at work: `gen.body.3 (Conv2d)`."""
        names = {
            id(module): f"{name}.{path}" if path else name
            for name, outer in self.modules.items()
            for path, module in outer.named_modules()
        }
        for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
            module = frame.f_locals.get("self")
            if isinstance(module, nn.Module) and id(module) in names:
                return f"{names[id(module)]} ({type(module).__name__})"
        return ""


def _lacking(data: Component, key: str, batch: Mapping[str, Any]) -> Fault:
    message = f"declares {key!r}, but its samples have none"
    return Fault(data.node.place, data.path, message, allowed("They have", key, batch))


def _versions(state: State, keys: Sequence[str]) -> dict[str, int]:
    """How often each tensor of these keys has been changed in place."""
    tensors = {key: state.values.get(key) for key in keys}
    return {key: v._version for key, v in tensors.items() if isinstance(v, Tensor) and not v.is_inference()}


def _with_reader(fault: Fault, reader: Component) -> Fault:
    return replace(fault, hint=f"{fault.hint}\n{reader.path} reads it.")


def _line_of_user(error: Exception) -> list[str]:
    """The deepest line that is neither torch's nor ours: of a plugin, or of a library that a network comes from."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame, line in reversed(list(zip(frames, traceback.extract_tb(error.__traceback__), strict=True))):
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in ("artschool", "torch", "torchmetrics"):
            return [f"at {line.filename}:{line.lineno}: {line.line}"]
    return []


class Observed:
    """Stands for a call of the plan and lets an observer watch it."""

    def __init__(self, call: Call, observer: Observer) -> None:
        self._call = call
        self._observer = observer

    def __call__(self, state: State) -> Any:
        """Make the call."""
        return self._observer.call(self._call, state)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


def observe(step: Step, observer: Observer) -> None:
    """Put an observed call in place of each of a step."""
    step.injectors = [cast(Any, Observed(call, observer)) for call in step.injectors]
    step.losses = [cast(Any, Observed(call, observer)) for call in step.losses]


def components_of_file(config: Config) -> dict[str, Component]:
    """What runs in training and in evaluations, by path."""
    steps, evaluations = config.steps.values(), config.evaluations.values()
    parts = [part for step in steps for part in (*step.injectors.values(), *step.losses.values())]
    parts += [part for e in evaluations for part in (*e.injectors.values(), *e.metrics.values())]
    return {part.path: part for part in parts}


def describe_error(error: Exception) -> str:
    """Its class and the first line of what it says."""
    first = str(error).strip().split("\n", 1)[0].removesuffix(", but expected one of:").replace("FakeTensor", "Tensor")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
