"""Records which parameters each loss gives a gradient, and the faults of losses that give none or the wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction

from artschool.config.structure import Component
from artschool.engine.train_step import TrainStep
from artschool.faults import Fault
from artschool.steps.call import LossCall, without_gradient
from artschool.trace.hidden import HiddenParameters
from artschool.trace.keys import TracedKey
from artschool.trace.unreached_losses import ObservedCall, UnreachedLoss, explain_unreached


@dataclass
class Reach:
    """The parameters that one loss gives a gradient, by network; names as in `named_parameters`."""

    step: str
    networks: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, network: str, parameter: str) -> None:
        """Add a parameter."""
        self.networks.setdefault(network, {})[parameter] = None


@dataclass
class UnprovenReach:
    """A loss with custom autograd functions in its history, such as a reentrant checkpoint.

    It may reach parameters that its history does not show. Only a backward from this loss alone can prove which.

    Attributes:
        iteration: The iteration at which the loss was computed.
        fault: The fault if that backward reaches nothing; None if the history shows a parameter already.
    """

    iteration: int
    fault: Fault | None


class Gradients:
    """Records where the gradient of each loss goes while steps train.

    Args:
        components: All components by path.
        modules: Networks, averages and components that are modules, by name, in this order.
        keys: Returns every key that was written in the dataflow of the current step, as first written.

    Attributes:
        reaches: What each loss reaches, by the loss's path.
        faults: Faults of losses that ran without an error.
        steps_with_losses: The steps that computed a loss while they trained.
        unproven: Losses whose reach only a backward can prove, by the loss's path and the parameters that its step
            trained.
        hidden: The parameters that got a gradient, though nothing registers them.
        isolated_loss: The path of the loss that alone gives a gradient in its step; "" for all losses.
    """

    def __init__(
        self,
        components: Mapping[str, Component],
        modules: dict[str, nn.Module],
        keys: Callable[[], Mapping[str, TracedKey]],
    ) -> None:
        self.reaches: dict[str, Reach] = {}
        self.faults: list[Fault] = []
        self.steps_with_losses: set[str] = set()
        self.unproven: dict[tuple[str, frozenset[int]], UnprovenReach] = {}
        self.isolated_loss = ""
        self._components = components
        self._keys = keys
        self._owners = {
            id(parameter): (name, own)
            # Reversed, so that a network owns its parameters even if a component holds the network.
            for name, module in reversed(modules.items())
            for own, parameter in module.named_parameters()
        }
        self.hidden = HiddenParameters(modules, self._owners)
        self._step: TrainStep | None = None
        self._iteration = 0
        self._trainable: frozenset[int] = frozenset()
        self._calls: list[ObservedCall] = []

    def begin_step(self, step: TrainStep, iteration: int) -> None:
        """Start recording a step."""
        self._step = step
        self._iteration = iteration
        self._trainable = frozenset(id(parameter) for parameter in step.trainable(iteration))
        self._calls = []
        self.hidden.begin_step()

    def record_call(self, call: ObservedCall) -> None:
        """Record a call of the current step."""
        self._calls.append(call)

    def record_loss(self, call: LossCall, value: Tensor) -> Tensor:
        """Record where the gradient of a loss goes.

        Returns:
            The loss for the step to add up, detached if another loss of the step is isolated.
        """
        if self._step is None or not self._trainable:
            return value
        if self.isolated_loss:
            is_other = self._is_in_step(self.isolated_loss) and call.path != self.isolated_loss
            return value.detach() if is_other else value
        if (problem := without_gradient(value)) is not None:
            self.faults.append(Fault(call.place, call.path, *problem))
            return value
        self.steps_with_losses.add(self._step.graph.name)
        self._record_reach(self._step, call, value)
        return value

    def record_gradient(self, parameter: nn.Parameter) -> None:
        """Record that a backward gave a parameter its gradient."""
        if self.isolated_loss and self._is_in_step(self.isolated_loss):
            self.reaches[self.isolated_loss].add(*self._owners[id(parameter)])
            self.unproven[self.isolated_loss, self._trainable].fault = None

    def _record_reach(self, step: TrainStep, call: LossCall, value: Tensor) -> None:
        reach = self.reaches.setdefault(call.path, Reach(step.graph.name))
        leaves, functions = _leaves_of(value)
        for leaf in leaves:
            if id(leaf) in self._trainable:
                reach.add(*self._owners[id(leaf)])
            elif id(leaf) in self._owners:
                self.faults.append(_leak(step, call, *self._owners[id(leaf)]))
            else:
                self.hidden.record_leaf(leaf, call.path)
        fault = None
        if self._trainable.isdisjoint(map(id, leaves)):
            fault = self._unreached_fault(step, call, value, functions)
        if functions:
            self.unproven.setdefault((call.path, self._trainable), UnprovenReach(self._iteration, fault))
        elif fault is not None:
            self.faults.append(fault)

    def _unreached_fault(self, step: TrainStep, call: LossCall, value: Tensor, functions: list[str]) -> Fault:
        """The fault of a loss whose history shows no parameter that the step trains."""
        names = " and ".join(f"'{name}'" for name in step.networks)
        message = f"reaches no parameter of {names}, which the step trains"
        component = self._components[call.path]
        loss = UnreachedLoss(component, value, functions, step.networks, self._calls, self._components, self._keys())
        reason = explain_unreached(loss)
        return Fault(call.place, call.path, message, reason.text, f"{step.graph.name}: {message}: {reason.cause}")

    def _is_in_step(self, path: str) -> bool:
        return self._step is not None and path.startswith(f"steps.{self._step.graph.name}.")


def _leaves_of(value: Tensor) -> tuple[list[Tensor], list[str]]:
    """The leaf tensors that backpropagation from a value would give a gradient.

    Returns:
        The leaves, and the names of custom autograd functions in the history, which may give others a gradient.
    """
    if value.grad_fn is None:
        return ([value] if value.requires_grad else []), []
    leaves: list[Tensor] = []
    functions: dict[str, None] = {}
    nodes: list[Any] = [value.grad_fn]
    seen = {value.grad_fn}
    while nodes:
        node = nodes.pop()
        if hasattr(node, "variable"):
            leaves.append(node.variable)
        elif isinstance(node, BackwardCFunction):
            functions[type(node).__name__.removesuffix("Backward")] = None
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                nodes.append(following)
    return leaves, list(functions)


def _leak(step: TrainStep, call: LossCall, network: str, name: str) -> Fault:
    trained = ", ".join(step.networks)
    message = f"its gradient leaks into {network}.{name}, which the step does not train now; it trains {trained}"
    hint = "Fix: detach the values that come from there, or make it a network that the step trains."
    return Fault(call.place, call.path, message, hint)
