"""What each call of a plan reads and writes, and where a gradient goes from each loss."""

from __future__ import annotations

import traceback
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor, nn

from artschool.config.structure import Component, Config
from artschool.engine.train_iteration import TrainStep
from artschool.errors import ArtschoolError, ConfigError, Fault, Place
from artschool.graph.call import Call, LossCall
from artschool.graph.state import State
from artschool.graph.step import Step
from artschool.trace.fake import needs_values
from artschool.trace.gradients import leaves
from artschool.trace.keys import TracedKey, describe_kind, dtype_of, has_gradient, is_drawable

ONE_VALUE = "Expected more than 1 value per channel"
"""What batch norms say in train mode to a batch that has no variance."""


class Untraceable(Exception):  # noqa: N818  # nothing went wrong
    """A component needs the values of tensors, which a trace does not have."""


@dataclass
class Seen:
    """A call of the present step: the keys it read and wrote, and whether a gradient could go in."""

    component: Component
    reads: list[str]
    writes: dict[str, Any]
    gradient_in: bool


@dataclass
class Reach:
    """The parameters that one loss gives a gradient, by network; names as in `named_parameters`."""

    step: str
    networks: dict[str, dict[str, None]] = field(default_factory=dict)


class Observer:
    """Takes notes while a plan runs.

    Args:
        components: By path.
        modules: Networks, averages and components that are modules, by name, in this order.
        real: Whether tensors have values.

    Attributes:
        keys: Every key that was written, as it was first.
        reached: What each loss reaches, by the loss's path.
        faults: What is wrong, though it ran.
        asked: The steps that had a loss while they trained.
        callers: The first component that called each network.
    """

    def __init__(self, components: Mapping[str, Component], modules: dict[str, nn.Module], *, real: bool) -> None:
        self.components = components
        self.modules = modules
        self.real = real
        self.keys: dict[str, TracedKey] = {}
        self.reached: dict[str, Reach] = {}
        self.faults: list[Fault] = []
        self.asked: set[str] = set()
        self.callers: dict[str, str] = {}
        self._owners = {
            id(parameter): (name, own)
            for name, module in reversed(modules.items())  # A component may hold a network, which stands before it.
            for own, parameter in module.named_parameters()
        }
        self._step: TrainStep | None = None
        self._trainable: set[int] = set()
        self._seen: list[Seen] = []

    def begin(self, batch: Mapping[str, Any], writer: str, place: Place) -> None:
        """A batch comes, of a data set that stands at `place`."""
        for key, value in batch.items():
            self._write(key, value, writer, place)

    def enter(self, step: TrainStep, iteration: int) -> None:
        """A step begins."""
        self._step = step
        self._trainable = {id(parameter) for parameter in step.trainable(iteration)}
        self._seen = []

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
        try:
            result = call(state)
        except Exception as error:
            if not self.real and needs_values(error):
                raise Untraceable(f"{call.place}: {call.path} looks at the values of tensors") from error
            raise ConfigError(self._fault(call, state, error)) from error
        writes = {key: value for key, value in state.values.items() if key not in before}
        for key, value in writes.items():
            self._write(key, value, call.path, call.place)
        self._seen.append(Seen(component, reads, writes, gradient_in))
        if isinstance(call, LossCall) and self._trainable:
            self._follow(call, result)
        return result

    def _write(self, key: str, value: Any, writer: str, place: Place) -> None:
        self.keys.setdefault(
            key, TracedKey(key, describe_kind(value), has_gradient(value), writer, place, is_drawable(value))
        )

    def _follow(self, call: LossCall, value: Tensor) -> None:
        """Note where the gradient of a loss goes."""
        assert self._step is not None
        if not value.dtype.is_floating_point:
            kind = "a complex" if value.dtype.is_complex else "an integer"
            hint = (
                "Take its magnitude or real part."
                if value.dtype.is_complex
                else "Compute it from floating-point values."
            )
            message = f"is {kind} number ({dtype_of(value)}), which has no gradient to follow"
            self.faults.append(Fault(call.place, call.path, message, hint))
            return
        self.asked.add(self._step.graph.name)
        reach = self.reached.setdefault(call.path, Reach(self._step.graph.name))
        found = False
        for leaf in leaves(value):
            if id(leaf) not in self._owners:
                continue
            network, name = self._owners[id(leaf)]
            if id(leaf) in self._trainable:
                found = True
                reach.networks.setdefault(network, {})[name] = None
            else:
                self.faults.append(self._leak(call, network, name))
        if not found:
            names = " and ".join(f"'{name}'" for name in self._step.networks)
            message = f"reaches no parameter of {names}, which the step trains"
            self.faults.append(Fault(call.place, call.path, message, self._why_unreached(call.path)))

    def _leak(self, call: LossCall, network: str, name: str) -> Fault:
        assert self._step is not None
        trained = ", ".join(self._step.networks)
        message = f"its gradient leaks into {network}.{name}, which the step does not train now; it trains {trained}"
        hint = "Detach what comes from there, or make it a network that the step trains."
        return Fault(call.place, call.path, message, hint)

    def _why_unreached(self, path: str) -> str:
        """Where the gradient ends, going up from a loss."""
        assert self._step is not None
        writers = {key: seen for seen in self._seen for key in seen.writes}
        upstream = [use.name for use in self.components[path].reads]
        for key in upstream:  # Grows while it is walked.
            if key not in writers:
                continue
            seen = writers[key]
            trains = calls_any(seen.component, self._step.networks)
            if not has_gradient(seen.writes[key]) and (seen.gradient_in or trains):
                return _end(seen, key)
            upstream += [name for name in seen.reads if name not in upstream]
        names = " or ".join(self._step.networks)
        for key in upstream:
            writer = self.keys[key].writer if key in self.keys and key not in writers else ""
            if writer in self.components and calls_any(self.components[writer], self._step.networks):
                return f"{key!r} comes from {writer}, and what leaves a step carries no gradient. Make it again here."
        for key in (use.name for use in self.components[path].reads):
            if key in writers and has_gradient(writers[key].writes[key]):
                return f"The gradient of {key!r} ends in the loss itself, which cuts it off."
        made = [key for key, seen in writers.items() if calls_any(seen.component, self._step.networks)]
        there = f"; {writers[made[0]].component.path} gives {', '.join(map(repr, made))}" if made else ""
        called = ", ".join(dict.fromkeys(use.name for use in self.components[path].networks))
        instead = f"; it calls {called} itself" if called else ""
        return f"Nothing that it reads comes from {names}{there or instead}."

    def _fault(self, call: Call, state: State, error: Exception) -> Fault:
        prefix = f"{call.place}: {call.path}: "
        if isinstance(error, ArtschoolError):
            return Fault(call.place, call.path, str(error).removeprefix(prefix), "\n".join(call.inputs(state)))
        where = self._module_of(error)
        inside = f" in {where}" if where else ""
        advice = ["Take a larger batch, or fewer parts of one."] if ONE_VALUE in str(error) else []
        hint = "\n".join([*_line_of_user(error), *call.inputs(state), *advice])
        return Fault(call.place, call.path, f"fails{inside}: {describe_error(error)}", hint)

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


def _line_of_user(error: Exception) -> list[str]:
    """The deepest line that is neither torch's nor ours: of a plugin, or of a library that a network comes from."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame, line in reversed(list(zip(frames, traceback.extract_tb(error.__traceback__), strict=True))):
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in ("artschool", "torch", "torchmetrics"):
            return [f"at {line.filename}:{line.lineno}: {line.line}"]
    return []


def calls_any(component: Component, networks: Container[str]) -> bool:
    """Whether a component calls one of these networks."""
    return any(use.name in networks for use in component.networks)


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


def _end(seen: Seen, key: str) -> str:
    component = seen.component
    entry = component.entry
    value = seen.writes[key]
    reason = "which gives"
    if getattr(entry, "no_grad", False):
        reason = "where `no_grad: true` stands, which gives"
    elif getattr(entry, "option_grad", True) is False:
        reason = "where `grad: false` stands, which gives"
    elif getattr(entry, "once", False):
        reason = "where `once: true` stands, which from the second part of a batch on gives"
    kind = f"{dtype_of(value)} " if isinstance(value, Tensor) and not value.dtype.is_floating_point else ""
    return f"The gradient ends at {component.path} ({component.node.place}), {reason} {kind}{key!r} without one."
