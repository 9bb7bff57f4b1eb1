"""Explains why a loss gives no gradient to the networks that its step trains."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from artschool.config.structure import Component
from artschool.trace.keys import TracedKey, dtype_of, has_gradient


@dataclass
class ObservedCall:
    """A call in the current step.

    Attributes:
        writes: The values that the call wrote, by key.
        gradient_in: Whether a gradient can flow back into a value that the call read.
    """

    component: Component
    reads: list[str]
    writes: dict[str, Any]
    gradient_in: bool


@dataclass(frozen=True)
class UnreachedLoss:
    """A loss whose gradient reaches no parameter that its step trains.

    Attributes:
        value: What the loss returned.
        functions: The custom autograd functions in its history.
        networks: The networks that the step trains.
        calls: The calls that the step made before the loss.
        components: All components by path.
        keys: All keys that were written so far.
    """

    component: Component
    value: Tensor
    functions: Sequence[str]
    networks: Mapping[str, object]
    calls: Sequence[ObservedCall]
    components: Mapping[str, Component]
    keys: Mapping[str, TracedKey]

    @cached_property
    def reads(self) -> list[str]:
        """The keys that the loss reads."""
        return [use.name for use in self.component.inputs]

    @cached_property
    def writers(self) -> dict[str, ObservedCall]:
        """The call of this step that wrote each key."""
        return {key: call for call in self.calls for key in call.writes}

    @cached_property
    def upstream(self) -> list[str]:
        """The keys that the loss depends on, nearest first: those it reads, those their writers read, and so on."""
        found = list(self.reads)
        for key in found:  # Grows while it is walked.
            if key in self.writers:
                found += [name for name in self.writers[key].reads if name not in found]
        return found

    @property
    def network_names(self) -> str:
        """The networks that the step trains, for a sentence."""
        return " or ".join(self.networks)


@dataclass(frozen=True)
class Reason:
    """Why a gradient does not arrive.

    Attributes:
        text: A sentence.
        cause: Equal in reasons that one mistake gives; the text itself if nothing else.
    """

    text: str
    cause: str


def explain_unreached(loss: UnreachedLoss) -> Reason:
    """The most specific reason that applies."""
    return next(reason for explain in EXPLANATIONS if (reason := explain(loss)) is not None)


def _cut_by_a_call(loss: UnreachedLoss) -> Reason | None:
    """A call of this step writes a value without a gradient, though it read one or calls a trained network."""
    for key in loss.upstream:
        call = loss.writers.get(key)
        if call is None or has_gradient(call.writes[key]):
            continue
        if call.gradient_in or _calls_any(call.component, loss.networks):
            return _cut(call, key)
    return None


def _written_by_another_step(loss: UnreachedLoss) -> Reason | None:
    """A trained network wrote the key in an earlier step, whose values were detached when it ended."""
    for key in loss.upstream:
        if key in loss.writers or key not in loss.keys:
            continue
        writer = loss.keys[key].writer
        if writer in loss.components and _calls_any(loss.components[writer], loss.networks):
            return _reason(
                f"{key!r} comes from {writer}, and values lose their gradient when a step ends. "
                "Compute it again in this step."
            )
    return None


def _hidden_by_functions(loss: UnreachedLoss) -> Reason | None:
    """Only a backward shows what custom autograd functions reach, and it reached nothing."""
    if not loss.functions:
        return None
    functions = " and ".join(loss.functions)
    return _reason(f"Its gradient passes through {functions}, and a backward from this loss alone reaches none.")


def _cut_by_the_loss(loss: UnreachedLoss) -> Reason | None:
    """The loss reads a value with a gradient, but returns one without, or one that depends on other networks."""
    for key in loss.reads:
        if key in loss.writers and has_gradient(loss.writers[key].writes[key]):
            if loss.value.requires_grad:
                return _reason(f"The gradient of {key!r} bypasses {loss.network_names}.")
            return _reason(f"The gradient of {key!r} ends in the loss itself, which detaches it.")
    return None


def _unrelated(loss: UnreachedLoss) -> Reason:
    """The loss does not depend on a trained network."""
    text = f"No key that it reads comes from {loss.network_names}"
    outputs = [key for key, call in loss.writers.items() if _calls_any(call.component, loss.networks)]
    called = dict.fromkeys(use.name for use in loss.component.networks)
    if outputs:
        text += f"; {loss.writers[outputs[0]].component.path} writes {', '.join(map(repr, outputs))}"
    elif called:
        names = " and ".join(called)
        text += f"; it calls {names}. Fix: add {names} to `trains`, or let the loss call {loss.network_names}"
    return _reason(f"{text}.")


EXPLANATIONS: Sequence[Callable[[UnreachedLoss], Reason | None]] = (
    _cut_by_a_call,
    _written_by_another_step,
    _hidden_by_functions,
    _cut_by_the_loss,
    _unrelated,
)
"""From the most specific to the most general. Each returns None if it does not apply; the last always applies."""


def _calls_any(component: Component, networks: Container[str]) -> bool:
    """Whether a component calls one of these networks."""
    return any(use.name in networks for use in component.networks)


def _reason(text: str) -> Reason:
    return Reason(text, text)


def _cut(call: ObservedCall, key: str) -> Reason:
    component, value = call.component, call.writes[key]
    ends = f"The gradient ends at {component.path} ({component.node.place})"
    shown = repr(key)
    if isinstance(value, Tensor) and not value.dtype.is_floating_point:
        shown = f"{dtype_of(value)} {key!r}"
    option = _option_that_cuts(component)
    if not option:
        return _reason(f"{ends}, which writes {shown} without one.")
    when = " after the first micro-batch" if option == "once: true" else ""
    # One option may detach several keys, each of which another loss reads.
    return Reason(f"{ends}, whose `{option}` detaches {shown}{when}.", ends)


def _option_that_cuts(component: Component) -> str:
    """The option by which the file asks for values without a gradient, if any."""
    entry = component.entry
    options = {
        "no_grad: true": getattr(entry, "no_grad", False),
        "grad: false": getattr(entry, "option_grad", True) is False,
        "once: true": getattr(entry, "once", False),
    }
    return next((option for option, is_set in options.items() if is_set), "")
