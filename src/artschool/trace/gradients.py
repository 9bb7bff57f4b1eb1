"""Where a gradient goes from each loss."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction

from artschool.config.structure import Component
from artschool.engine.train_step import TrainStep
from artschool.errors import Fault
from artschool.steps.call import LossCall
from artschool.trace.keys import TracedKey, dtype_of, has_gradient


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

    def add(self, network: str, parameter: str) -> None:
        """It reaches one more."""
        self.networks.setdefault(network, {})[parameter] = None


@dataclass
class Doubt:
    """A loss with functions of Python in its history, which may reach more than it shows, as a reentrant checkpoint.

    Attributes:
        iteration: When it was met.
        fault: What is wrong with it unless a backward from it alone reaches something; None if it reaches something.
    """

    iteration: int
    fault: Fault | None


class Gradients:
    """Takes notes of where the gradient of each loss goes while steps train.

    Args:
        components: By path.
        modules: Networks, averages and components that are modules, by name, in this order.
        keys: Every key that was written, as it was first.

    Attributes:
        reached: What each loss reaches, by the loss's path.
        faults: What is wrong, though it ran.
        asked: The steps that had a loss while they trained.
        doubts: What only a backward can tell, by the path of the loss and what its step trained.
        alone: The loss that is the only one of its step to give a gradient now; "" for all of them.
    """

    def __init__(
        self, components: Mapping[str, Component], modules: dict[str, nn.Module], keys: Mapping[str, TracedKey]
    ) -> None:
        self.reached: dict[str, Reach] = {}
        self.faults: list[Fault] = []
        self.asked: set[str] = set()
        self.doubts: dict[tuple[str, frozenset[int]], Doubt] = {}
        self.alone = ""
        self._components = components
        self._keys = keys
        self._owners = {
            id(parameter): (name, own)
            for name, module in reversed(modules.items())  # A component may hold a network, which stands before it.
            for own, parameter in module.named_parameters()
        }
        self._step: TrainStep | None = None
        self._iteration = 0
        self._trainable: frozenset[int] = frozenset()
        self._seen: list[Seen] = []

    def enter(self, step: TrainStep, iteration: int) -> None:
        """A step begins."""
        self._step = step
        self._iteration = iteration
        self._trainable = frozenset(id(parameter) for parameter in step.trainable(iteration))
        self._seen = []

    def saw(self, seen: Seen) -> None:
        """A call of the step has been made."""
        self._seen.append(seen)

    def follow(self, call: LossCall, value: Tensor) -> Tensor:
        """Note where the gradient of a loss goes, and return the loss as its step is to have it."""
        if self._step is None or not self._trainable:
            return value
        if self.alone:
            return value.detach() if self._is_in_step(self.alone) and call.path != self.alone else value
        if not value.dtype.is_floating_point:
            self.faults.append(_without_gradient(call, value))
            return value
        self.asked.add(self._step.graph.name)
        reach = self.reached.setdefault(call.path, Reach(self._step.graph.name))
        found, functions = leaves(value)
        for leaf in found:
            if id(leaf) in self._trainable:
                reach.add(*self._owners[id(leaf)])
            elif id(leaf) in self._owners:
                self.faults.append(self._leak(call, *self._owners[id(leaf)]))
        fault = None
        if self._trainable.isdisjoint(map(id, found)):
            names = " and ".join(f"'{name}'" for name in self._step.networks)
            message = f"reaches no parameter of {names}, which the step trains"
            hint = self._why_unreached(call.path, functions, value)
            # One switch may cut off several keys, each of which a loss reads.
            cause = f"{self._step.graph.name}: {message}: {hint.partition(', where `')[0]}"
            fault = Fault(call.place, call.path, message, hint, cause)
        if functions:
            self.doubts.setdefault((call.path, self._trainable), Doubt(self._iteration, fault))
        elif fault is not None:
            self.faults.append(fault)
        return value

    def got(self, parameter: nn.Parameter) -> None:
        """A backward gives a parameter its gradient."""
        if self.alone and self._is_in_step(self.alone):
            self.reached[self.alone].add(*self._owners[id(parameter)])
            self.doubts[self.alone, self._trainable].fault = None

    def _is_in_step(self, path: str) -> bool:
        return self._step is not None and path.startswith(f"steps.{self._step.graph.name}.")

    def _leak(self, call: LossCall, network: str, name: str) -> Fault:
        assert self._step is not None
        trained = ", ".join(self._step.networks)
        message = f"its gradient leaks into {network}.{name}, which the step does not train now; it trains {trained}"
        hint = "Detach what comes from there, or make it a network that the step trains."
        return Fault(call.place, call.path, message, hint)

    def _why_unreached(self, path: str, functions: Sequence[str], value: Tensor) -> str:
        """Where the gradient ends, going up from a loss."""
        assert self._step is not None
        writers = {key: seen for seen in self._seen for key in seen.writes}
        upstream = [use.name for use in self._components[path].reads]
        for key in upstream:  # Grows while it is walked.
            if key not in writers:
                continue
            seen = writers[key]
            trains = _calls_any(seen.component, self._step.networks)
            if not has_gradient(seen.writes[key]) and (seen.gradient_in or trains):
                return _end(seen, key)
            upstream += [name for name in seen.reads if name not in upstream]
        names = " or ".join(self._step.networks)
        for key in upstream:
            writer = self._keys[key].writer if key in self._keys and key not in writers else ""
            if writer in self._components and _calls_any(self._components[writer], self._step.networks):
                return f"{key!r} comes from {writer}, and what leaves a step carries no gradient. Make it again here."
        if functions:
            return f"Its gradient goes through {' and '.join(functions)}, and a backward from it alone reaches none."
        for key in (use.name for use in self._components[path].reads):
            if key in writers and has_gradient(writers[key].writes[key]):
                way = "ends in the loss itself, which cuts it off" if not value.requires_grad else f"leaves out {names}"
                return f"The gradient of {key!r} {way}."
        made = [key for key, seen in writers.items() if _calls_any(seen.component, self._step.networks)]
        there = f"; {writers[made[0]].component.path} gives {', '.join(map(repr, made))}" if made else ""
        called = ", ".join(dict.fromkeys(use.name for use in self._components[path].networks))
        instead = f"; it calls {called} itself" if called else ""
        return f"Nothing that it reads comes from {names}{there or instead}."


def leaves(value: Tensor) -> tuple[list[Tensor], list[str]]:
    """The tensors without history that backpropagation from a value would give a gradient to.

    Returns:
        They, and the functions of Python on the way, which may give others one.
    """
    if value.grad_fn is None:
        return ([value] if value.requires_grad else []), []
    found: list[Tensor] = []
    functions: dict[str, None] = {}
    nodes: list[Any] = [value.grad_fn]
    seen = {value.grad_fn}
    while nodes:
        node = nodes.pop()
        if hasattr(node, "variable"):
            found.append(node.variable)
        elif isinstance(node, BackwardCFunction):
            functions[type(node).__name__.removesuffix("Backward")] = None
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                nodes.append(following)
    return found, list(functions)


def _calls_any(component: Component, networks: Container[str]) -> bool:
    """Whether a component calls one of these networks."""
    return any(use.name in networks for use in component.networks)


def _without_gradient(call: LossCall, value: Tensor) -> Fault:
    kind, hint = "an integer", "Compute it from floating-point values."
    if value.dtype.is_complex:
        kind, hint = "a complex", "Take its magnitude or real part."
    message = f"is {kind} number ({dtype_of(value)}), which has no gradient to follow"
    return Fault(call.place, call.path, message, hint)


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
