"""One iteration: a batch through every step, in file order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.config.when import When
from artschool.data.collate import micro_batches, to_device
from artschool.data.seeds import device_generator
from artschool.engine.callbacks import GatedCallback
from artschool.engine.ema import Ema
from artschool.engine.freeze import only_training
from artschool.engine.hooks import hooks
from artschool.engine.meters import Meters
from artschool.engine.update import Update
from artschool.errors import StateError
from artschool.graph.state import State
from artschool.graph.step import Step


class Clock:
    """What contexts read from the run, and where they and the losses write their numbers."""

    def __init__(self, device: torch.device, meters: Meters) -> None:
        self.device = device
        self.meters = meters
        self.iteration = 0
        self.training = False
        self.share = 1.0

    @property
    def generator(self) -> torch.Generator:
        """The generator of the device."""
        return device_generator(self.device)

    def record(self, name: str, value: Tensor | float) -> None:
        """Keep a number of the micro-batch that runs; outside training it is dropped."""
        if self.training:
            self.meters.add(name, value.detach() if isinstance(value, Tensor) else value, self.share)


class TrainStep:
    """A step of the plan with what it moves.

    Args:
        networks: What it trains, by name.
        gates: At which iterations each of them moves.
        update: Moves them; None for `optimizer: none`.
        callbacks: Called at their moments, after what the networks define themselves.
    """

    def __init__(
        self,
        graph: Step,
        networks: Mapping[str, nn.Module],
        gates: Mapping[str, When],
        update: Update | None,
        callbacks: Sequence[GatedCallback] = (),
    ) -> None:
        self.graph = graph
        self.networks = networks
        self.update = update
        self._gates = gates
        owned = set(update.parameters) if update else set()
        self._parameters = {name: [p for p in network.parameters() if p in owned] for name, network in networks.items()}
        marked = ((p, getattr(p, "DO_NOT_TRAIN_UNTIL", 0)) for owned in self._parameters.values() for p in owned)
        self._starts = {parameter: start for parameter, start in marked if start}
        self._total = f"{graph.name}/total"
        self._callbacks = callbacks
        self._before, self._backward, self._after = (
            [*(hook for _, hook in hooks(networks, hook_name)), *self._moments(moment)]
            for hook_name, moment in (
                ("before_step", "before_step"),
                ("after_backward", "before_optimize"),
                ("after_step", "after_optimize"),
            )
        )
        self._norm_groups = hooks(networks, "get_grad_norm_parameter_groups")

    def _moments(self, name: str) -> list[Callable[[int], Any]]:
        moments = [callback.moment(name) for callback in self._callbacks]
        return [moment for moment in moments if moment is not None]

    def log_data(self, iteration: int) -> dict[str, float]:
        """The numbers that callbacks have for the log; reading them may wait for the device."""
        return {
            f"{self.graph.name}/{callback.name}/{name}": float(value)
            for callback in self._callbacks
            if (moment := callback.moment("log_data")) is not None
            for name, value in (moment(iteration) or {}).items()
        }

    def trainable(self, iteration: int) -> list[nn.Parameter]:
        """The parameters that move at an iteration.

        One that its network's own code has marked `DO_NOT_TRAIN_UNTIL = n` moves from iteration n on.
        """
        active = [p for name, owned in self._parameters.items() if self._gates[name].active(iteration) for p in owned]
        return [p for p in active if self._starts.get(p, 0) <= iteration] if self._starts else active

    @property
    def starts(self) -> set[int]:
        """The iterations from which parameters move that their network's own code holds back until then."""
        return set(self._starts.values())

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of the forward pass."""
        return self.update.precision.autocast() if self.update else nullcontext()

    def run(self, batches: MicroBatches, clock: Clock) -> list[str]:
        """Run the step at the clock's iteration.

        Returns:
            The networks that it moved: those it trains now that got a gradient.
        """
        iteration = clock.iteration
        parameters = self.trainable(iteration)
        for hook in self._before:
            hook(iteration)
        with only_training(parameters):
            for state, share in batches:
                clock.share = share
                with self.autocast():
                    total = self.graph.forward(state, iteration, clock.record)
                if total is not None:
                    clock.record(self._total, total)
                    if parameters:
                        self._backward_from(total, clock)
                state.keep_only(self.graph.kept)
        if not parameters or self.update is None or not self.update.prepare(iteration):
            return []
        moved = [name for name, owned in self._parameters.items() if any(p.grad is not None for p in owned)]
        for hook in self._backward:
            hook(iteration)
        self._log_norms(clock.meters)
        self.update(clock.meters)
        for hook in self._after:
            hook(iteration)
        return moved

    def _backward_from(self, total: Tensor, clock: Clock) -> None:
        assert self.update is not None
        if not total.requires_grad:
            raise StateError(
                f"steps.{self.graph.name}: at iteration {clock.iteration} no active loss depends on "
                f"{', '.join(self.networks)}, which the step trains; look for a `grad: false` or a detach on the way"
            )
        self.update.precision.backward(total if clock.share == 1.0 else total * clock.share)

    def _log_norms(self, meters: Meters) -> None:
        for network, hook in self._norm_groups:
            for group, parameters in hook().items():
                gradients = [p.grad for p in parameters if p.grad is not None]
                if gradients:
                    norm = torch.nn.utils.get_total_norm(gradients)
                    meters.add(f"{self.graph.name}/grad_norm/{network}.{group}", norm)


@dataclass
class MicroBatches:
    """The parts of a batch, as states that every step goes through; each moves to the device when it is first needed.

    Attributes:
        total: Samples of the whole batch over all processes; each part weighs by its share of them.
    """

    batch: Mapping[str, Any]
    count: int
    total: int
    device: torch.device
    _states: list[tuple[State, float]] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[State, float]]:
        if self._states:
            yield from self._states
            return
        # As many on every process, so that what losses exchange with `ranks` meets.
        count = min(self.count, max(1, self.total // ranks.world_size()))
        for index, (values, size) in enumerate(micro_batches(self.batch, count)):
            pair = (State(to_device(values, self.device), "data.train", index), size / self.total)
            self._states.append(pair)
            yield pair

    @property
    def first(self) -> State:
        """The first part."""
        # All of them: whoever goes through the parts afterwards would find the first alone.
        return (self._states or list(self))[0][0]


def train_iteration(steps: list[TrainStep], emas: Mapping[str, Ema], batches: MicroBatches, clock: Clock) -> None:
    """Run every step once at the clock's iteration, then let the averages follow what moved."""
    clock.training = True
    moved: dict[str, list[Tensor | None]] = {}
    for step in steps:
        if not step.graph.when.active(clock.iteration):
            continue
        for name in step.run(batches, clock):
            moved.setdefault(name, []).append(step.update.found_inf if step.update else None)
            ranks.broadcast(step.networks[name].buffers())
    for name, ema in emas.items():
        if name in moved:
            ema.update(moved[name])
    clock.training = False
