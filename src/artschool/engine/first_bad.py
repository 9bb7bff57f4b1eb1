"""Finds the first tensor of an iteration that contains NaN or infinity. Waits for the device again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from artschool.engine.real_view import can_be_non_finite
from artschool.engine.run_state import RunState
from artschool.engine.update import Update
from artschool.steps.state import State


class FirstBad:
    """Looks at the tensors of an iteration in the order in which they are computed.

    Attributes:
        found: A line for each tensor that contains NaN or infinity, in their order.
        losses: The losses by name: the sums over micro-batches, weighted by their shares.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self.losses: dict[str, float] = {}

    def see(self, name: str, value: object) -> None:
        """Look at the tensors in a value."""
        for tensor in tree_leaves(value):
            if isinstance(tensor, Tensor) and can_be_non_finite(tensor):
                bad = int((~tensor.isfinite()).sum())
                if bad:
                    shape = f"{tuple(tensor.shape)} {tensor.dtype}".replace("torch.", "")
                    self.found.append(f"{name}: {bad} of {tensor.numel()} values are NaN or infinite, {shape}")
                    return

    @contextmanager
    def watching(self, run: RunState) -> Iterator[None]:
        """Look at what an iteration computes inside the context: values, losses, gradients and updated weights."""
        with ExitStack() as stack:
            for name, network in {**run.networks, **{ema.name: ema.module for ema in run.emas.values()}}.items():
                for path, module in network.named_modules():
                    self._watch_module(stack, f"networks.{name}{f'.{path}' if path else ''}", module)
            self._watch_values(stack)
            self._watch_losses(stack, run)
            for step in run.steps:
                if step.update is not None:
                    self._watch_update(stack, f"steps.{step.graph.name}", step.update, step.networks)
            yield

    def _watch_module(self, stack: ExitStack, name: str, module: nn.Module) -> None:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            kind = type(module).__name__
            self.see(f"{name} ({kind}), output", output)
            for tensor in tree_leaves(output):
                if isinstance(tensor, Tensor) and tensor.requires_grad:
                    tensor.register_hook(partial(self.see, f"{name} ({kind}), gradient of the output"))  # type: ignore[no-untyped-call]  # torch

        stack.callback(module.register_forward_hook(look).remove)

    def _watch_values(self, stack: ExitStack) -> None:
        write = State.write

        def look(state: State, key: str, value: object, *, writer: str) -> None:
            self.see(f"{writer}, value {key!r}", value)
            write(state, key, value, writer=writer)

        _replace(stack, State, "write", look)

    def _watch_losses(self, stack: ExitStack, run: RunState) -> None:
        context, record = run.context, run.context.record

        def look(name: str, value: Tensor | float) -> None:
            self.see(f"loss {name}", value)
            if context.training:
                number = float(value.detach() if isinstance(value, Tensor) else value)
                self.losses[name] = self.losses.get(name, 0.0) + number * context.share
            record(name, value)

        _replace(stack, context, "record", look)

    def _watch_update(self, stack: ExitStack, step: str, update: Update, networks: Mapping[str, nn.Module]) -> None:
        named = {p: f"networks.{n}.{key}" for n, network in networks.items() for key, p in network.named_parameters()}
        prepare, move = update.prepare, update.scheduled.step

        def look_at_gradients(iteration: int) -> bool:
            is_ready = prepare(iteration)
            for parameter, name in named.items():
                self.see(f"{step}: {name}, gradient", parameter.grad)
            return is_ready

        def look_at_weights(found_inf: Tensor | None) -> None:
            move(found_inf)
            for parameter, name in named.items():
                self.see(f"{step}: {name}, after the update", parameter.detach())

        _replace(stack, update, "prepare", look_at_gradients)
        _replace(stack, update.scheduled, "step", look_at_weights)


def _replace(stack: ExitStack, owner: object, name: str, value: object) -> None:
    """Set an attribute of an object or a class until a stack ends."""
    if name in vars(owner):
        stack.callback(setattr, owner, name, vars(owner)[name])
    else:
        stack.callback(delattr, owner, name)
    setattr(owner, name, value)
