"""A step as it trains: forward and backward over every micro-batch, then one update."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.config.when import ALWAYS, When
from artschool.engine.callbacks import GatedCallback
from artschool.engine.decisions import KeyGate
from artschool.engine.freeze import require_gradients
from artschool.engine.gradient_norm import total_norm
from artschool.engine.hooks import hooks, logged
from artschool.engine.meters import Meters
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.out_of_memory import Pass
from artschool.engine.part_factors import part_factors
from artschool.engine.sharding import set_gradient_sync, sharded_networks
from artschool.engine.train_context import TrainContext
from artschool.engine.update import Update
from artschool.errors import StateError
from artschool.steps.step import Step


class TrainStep:
    """A step, the networks that it trains, and their update.

    Args:
        graph: The injectors and losses of the step.
        networks: The networks that the step trains, by name.
        gates: For each network, the iterations at which it is trained.
        update: Updates the networks. None: the step has `optimizer: none`.
        callbacks: Called after the hooks that the networks define.
        data: The streams of which the step takes fresh batches. Empty: it runs on the batch of the iteration.
        repeat: How often it runs in an iteration.
        key_gate: Skips updates by a key of the dataflow. None: no update is skipped.
    """

    def __init__(
        self,
        graph: Step,
        networks: Mapping[str, nn.Module],
        gates: Mapping[str, When],
        update: Update | None,
        callbacks: Sequence[GatedCallback] = (),
        data: Sequence[str] = (),
        repeat: int = 1,
        key_gate: KeyGate | None = None,
    ) -> None:
        self.graph = graph
        self.key_gate = key_gate
        self._key_values: list[Tensor] = []
        self.networks = networks
        self.update = update
        self.data = data
        self.repeat = repeat
        self._gates = gates
        owned = set(update.parameters) if update else set()
        self._parameters = {name: [p for p in network.parameters() if p in owned] for name, network in networks.items()}
        marked = ((p, getattr(p, "DO_NOT_TRAIN_UNTIL", 0)) for owned in self._parameters.values() for p in owned)
        self._starts = {parameter: start for parameter, start in marked if start}
        is_constant = not self._starts and all(gates[name] == ALWAYS for name in networks)
        self._always = [p for owned in self._parameters.values() for p in owned] if is_constant else None
        self._total = f"{graph.name}/total"
        self._sharded = sharded_networks(networks.values())
        self._open = f"{graph.name}/open"
        self._callbacks = callbacks
        self._before, self._backward, self._after = (
            [*(hook for _, hook in hooks(networks, hook_name)), *self._callback_methods(method)]
            for hook_name, method in (
                ("before_step", "before_step"),
                ("after_backward", "before_optimize"),
                ("after_step", "after_optimize"),
            )
        )
        self._norm_groups = hooks(networks, "get_grad_norm_parameter_groups")

    def _callback_methods(self, name: str) -> list[Callable[[int], Any]]:
        methods = [callback.method(name) for callback in self._callbacks]
        return [method for method in methods if method is not None]

    def log_data(self, iteration: int) -> dict[str, float]:
        """The numbers that callbacks log; may wait for the device."""
        return {
            f"{self.graph.name}/{callback.name}/{name}": value
            for callback in self._callbacks
            if (method := callback.method("log_data")) is not None
            for name, value in logged(f"steps.{self.graph.name}.callbacks.{callback.name}", method(iteration)).items()
        }

    def trainable(self, iteration: int) -> list[nn.Parameter]:
        """The parameters that are trained at an iteration.

        A parameter that the network's code marks with `DO_NOT_TRAIN_UNTIL = n` is trained from iteration n.
        """
        if self._always is not None:
            return self._always
        active = [p for name, owned in self._parameters.items() if self._gates[name].active(iteration) for p in owned]
        return [p for p in active if self._starts.get(p, 0) <= iteration] if self._starts else active

    @property
    def starts(self) -> set[int]:
        """The iterations at which training of parameters marked with `DO_NOT_TRAIN_UNTIL` begins."""
        return set(self._starts.values())

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of the forward pass, which sets its precision."""
        return self.update.precision.autocast() if self.update else nullcontext()

    def batches(self, batches: MicroBatches) -> Iterator[MicroBatches]:
        """What the step runs on, one after another, in an iteration with some batches."""
        for left in reversed(range(self.repeat)):
            if self.data:
                yield batches.fresh(self.data)
            else:
                yield batches.copy() if left else batches

    def run(self, batches: MicroBatches, context: TrainContext) -> dict[str, Tensor | None]:
        """Run the step once at the context's iteration.

        Returns:
            By name, the networks that it updated, which are those with a gradient, with `Update.found_inf`.

        Raises:
            StateError: A gradient is sparse, and something does not take it.
        """
        try:
            return self._run(batches, context)
        except RuntimeError as error:
            self._blame_sparse(error)
            raise

    def _run(self, batches: MicroBatches, context: TrainContext) -> dict[str, Tensor | None]:
        iteration = context.iteration
        parameters = self.trainable(iteration)
        if self.update is not None:
            self.update.non_finite = None
        for hook in self._before:
            hook(iteration)
        if context.splitting is None:
            self._start_pass(parameters)
            self._pass(parameters, context, batches)
        else:
            work = Pass(
                self.graph.name,
                start=partial(self._start_pass, parameters),
                run=partial(self._pass, parameters, context),
                undo=partial(self._undo_pass, parameters),
            )
            context.splitting.run(work, iteration, batches, context.meters)
        closed = self._decide(context) if self.key_gate is not None and parameters else None
        if not parameters or self.update is None:
            return {}
        self.update.exchange.finish()
        context.has_updated = True  # Also if it only adds up gradients, or counts a skipped update.
        if not self.update.prepare(iteration):
            return {}
        for hook in self._backward:
            hook(iteration)
        moved = [name for name, owned in self._parameters.items() if any(p.grad is not None for p in owned)]
        if not moved:  # A hook has dropped all gradients.
            self.update.precision.update()
            return {}
        self._log_norms(context.meters)
        self.update(context.meters, closed)
        for hook in self._after:
            hook(iteration)
        return dict.fromkeys(moved, self.update.found_inf)

    def _blame_sparse(self, error: RuntimeError) -> None:
        """Raise a short error in place of torch's page about a sparse gradient, if there is one."""
        for name, network in self.networks.items():
            for key, parameter in network.named_parameters():
                if parameter.grad is not None and parameter.grad.is_sparse:
                    raise StateError(
                        f"networks.{name}: the gradient of the parameter {key!r} is sparse, which the update "
                        f"of steps.{self.graph.name} does not take. Fix: leave out `sparse=True` in the code of the "
                        "network"
                    ) from error

    def _start_pass(self, parameters: Sequence[nn.Parameter]) -> None:
        if self.update is not None and parameters:
            self.update.exchange.start(parameters)

    def _pass(self, parameters: Sequence[nn.Parameter], context: TrainContext, batches: MicroBatches) -> None:
        require_gradients(parameters, True)
        try:
            self._accumulate(batches, context, is_trained=bool(parameters))
        finally:
            require_gradients(parameters, False)

    def _undo_pass(self, parameters: Sequence[nn.Parameter]) -> None:
        """Drop what a pass has accumulated. All processes take part in its sums, however far each of them came."""
        if self.update is not None and parameters:
            self.update.exchange.finish()
        for parameter in parameters:
            parameter.grad = None
        self._key_values.clear()

    def _accumulate(self, batches: MicroBatches, context: TrainContext, *, is_trained: bool) -> None:
        """Forward and backward over every micro-batch."""
        context.precision = self.update.precision if self.update else None
        factors = part_factors(self.graph, batches, context, self.autocast)
        last = batches.limit - 1
        for index, ((state, share), factor) in enumerate(zip(batches, factors)):  # noqa: B905  # factors may have no end
            context.share = share
            with self.autocast():
                total = self.graph.forward(state, context.iteration, context.record, factor, is_trained=is_trained)
            if total is not None:
                context.record(self._total, total)
                if is_trained:
                    self._backward_from(total, context, is_last=index == last)
            if self.key_gate is not None and is_trained and self.graph.takes(state):
                self._key_values.append(self.key_gate.read(state, share))
            state.keep_only(self.graph.kept)

    def _decide(self, context: TrainContext) -> Tensor:
        """1.0 on the device if the gate skips the update: by the mean of its key over the whole batch."""
        assert self.key_gate is not None
        total = torch.stack(self._key_values).sum(0) if self._key_values else torch.zeros(2, device=context.device)
        self._key_values.clear()
        ranks.sum_in_place([total])
        closed = self.key_gate.closed(total)
        context.meters.add(self._open, 1.0 - closed)
        return closed

    def _backward_from(self, total: Tensor, context: TrainContext, *, is_last: bool) -> None:
        assert self.update is not None
        if not total.requires_grad:
            raise StateError(
                f"steps.{self.graph.name}: no active loss depends on {', '.join(self.networks)} at iteration "
                f"{context.iteration}. Fix: remove a `grad: false` or a detach between the network and the losses"
            )
        set_gradient_sync(self._sharded, enabled=is_last)
        with self.update.exchange.part(is_last=is_last):
            self.update.precision.backward(total if context.share == 1.0 else total * context.share)

    def _log_norms(self, meters: Meters) -> None:
        for network, hook in self._norm_groups:
            for group, parameters in hook().items():
                gradients = [p.grad for p in parameters if p.grad is not None]
                if gradients:
                    norm = total_norm(gradients)
                    meters.add(f"{self.graph.name}/grad_norm/{network}.{group}", norm)
