"""An optimizer, the parameters that it moves, and its learning rates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from artschool import ranks
from artschool.engine import fused_adam
from artschool.engine.offload import OffloadedState
from artschool.engine.optimizers import step_unless_non_finite
from artschool.engine.precision import Precision
from artschool.registry.schedule import Schedule


class ScheduledOptimizer:
    """An optimizer whose learning rates follow a schedule.

    Args:
        optimizer: Holds the parameters that this process moves.
        schedule: Gives the rate of each group from its base rate and the iteration.
        parameters: All parameters that the step trains, over all processes. None: those of the optimizer.
        shards: For each rank, the parameters that its optimizer moves. None: every process moves all parameters.
        changing: The options of groups that schedules of their own change.
        is_offloaded: Whether the state of the optimizer is in the memory of the CPU.

    Attributes:
        offloaded: The state in the memory of the CPU. None: the state is on the device.
        own_parameters: The parameters that this process moves, in the order of the optimizer.
        base_rates: The learning rate of each group before the schedule applies.
        cooling: Factor of all learning rates.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule,
        parameters: Sequence[nn.Parameter] | None = None,
        shards: Sequence[Sequence[nn.Parameter]] | None = None,
        changing: Collection[str] = (),
        *,
        is_offloaded: bool = False,
    ) -> None:
        self.optimizer = optimizer
        self.schedule = schedule
        self.own_parameters: list[nn.Parameter] = [p for group in optimizer.param_groups for p in group["params"]]
        self.parameters: Sequence[nn.Parameter] = self.own_parameters if parameters is None else parameters
        self.shards = shards
        self.base_rates: list[float] = [float(group["lr"]) for group in optimizer.param_groups]
        self.cooling = 1.0
        self._is_sharded = any(map(ranks.is_sharded, self.parameters))
        if self._is_sharded:
            ranks.fuse_on_parts()
        self._of_all = _unscaled_by(optimizer, self.parameters, is_divided=shards is not None)
        self._not_state = {"params", "lr", *changing}
        self._initial_groups = [dict(group) for group in optimizer.param_groups]
        self.offloaded = OffloadedState(optimizer) if is_offloaded else None
        self._is_fused_adam = self.offloaded is None and fused_adam.is_fused_adam(optimizer)

    def gradients(self) -> list[Tensor]:
        """The gradients of the parameters that have one; of a sharded one, the part of this process."""
        found = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        return ranks.local_of(found) if self._is_sharded else found

    def drop_gradients(self) -> None:
        """Set every gradient to None."""
        for parameter in self.parameters:
            parameter.grad = None

    def unscale(self, precision: Precision) -> None:
        """Divide the gradients by the loss scale of fp16."""
        for optimizer in self._of_all:
            precision.unscale(optimizer)

    def step(self, found_inf: Tensor | None) -> None:
        """Move the parameters of this process.

        Args:
            found_inf: A scalar on the device; 1.0 leaves the parameters as they are. None: always move.
        """
        if self._is_fused_adam and fused_adam.step(self.optimizer, found_inf):
            return
        step = self.optimizer.step if self.offloaded is None else self.offloaded.step
        if found_inf is None:
            step()
        else:
            step_unless_non_finite(self.optimizer, found_inf, step)

    def exchange_shards(self) -> None:
        """Give every process the parameters that the other processes have moved."""
        if self.shards is not None:
            ranks.broadcast_shards(self.shards)

    def set_rates(self, iteration: int) -> None:
        """Set the learning rate of every group to that of an iteration."""
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = self.schedule.rate(base, iteration - group.get("schedule_from", 0)) * self.cooling

    def rates(self) -> list[float]:
        """The current learning rate of each group of the file."""
        return [float(group["lr"]) for group in self.optimizer.param_groups if not group.get("twin")]

    def group_state(self) -> dict[str, Any]:
        """Values that the optimizer has written to its groups, such as a step count: `group:<index>/<option>`."""
        return {
            f"group:{index}/{name}": value
            for index, (group, initial) in enumerate(
                zip(self.optimizer.param_groups, self._initial_groups, strict=True)
            )
            for name, value in group.items()
            if name not in self._not_state
            and (isinstance(value, Tensor) or name not in initial or value != initial[name])
        }


def _unscaled_by(optimizer: Optimizer, parameters: Sequence[nn.Parameter], *, is_divided: bool) -> list[Optimizer]:
    """The optimizers from which the gradient scaler takes its parameters: those of all processes.

    Sharded parameters have an optimizer of their own. For them, torch lets all processes agree on what is non-finite.
    """
    sharded = [parameter for parameter in parameters if ranks.is_sharded(parameter)]
    if not sharded and not is_divided:
        return [optimizer]
    whole = [parameter for parameter in parameters if not ranks.is_sharded(parameter)]
    return [torch.optim.SGD(part) for part in (whole, sharded) if part]
