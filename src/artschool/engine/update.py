"""One optimizer update: agree across ranks, unscale, find non-finite numbers, clip, set the rate, step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from artschool import ranks
from artschool.engine.batch_sizing import BatchSizing
from artschool.engine.meters import Meters
from artschool.engine.optimizers import guarded_step
from artschool.engine.precision import Precision
from artschool.engine.schedules import Schedule


class Update:
    """The end of a step that trains.

    Args:
        parameters: All that it moves, over all processes.
        shards: Those that the optimizer of each process moves; None where each moves all of them.
        sizing: Sums gradients over iterations, so that not each of them ends in an update; None for one that does.
        guard: Whether non-finite gradients leave the optimizer where it is.
        clip: The largest global norm of the gradients, over all parameters that the step trains; None for no limit.

    Attributes:
        own_parameters: Those that this process moves, in the order of the optimizer.
        found_inf: On the device, 1.0 if the last update was skipped and 0.0 if not; None without the guard.
    """

    def __init__(
        self,
        name: str,
        optimizer: Optimizer,
        schedule: Schedule,
        precision: Precision,
        *,
        clip: float | None,
        guard: bool,
        parameters: Sequence[nn.Parameter],
        shards: Sequence[Sequence[nn.Parameter]] | None = None,
        sizing: BatchSizing | None = None,
    ) -> None:
        self.name = name
        self.optimizer = optimizer
        self.schedule = schedule
        self.precision = precision
        self.shards = shards
        self.parameters = parameters
        self.own_parameters = [p for group in optimizer.param_groups for p in group["params"]]
        # What the gradient scaler takes parameters from.
        self._all = optimizer if shards is None else torch.optim.SGD(self.parameters)
        self.base_rates: list[float] = [float(group["lr"]) for group in optimizer.param_groups]
        self._given = [dict(group) for group in optimizer.param_groups]
        self.clip = clip
        self.sizing = sizing
        self._accumulated = 0
        self.guard = guard or precision.kind == "fp16"
        self._dtypes = list({p.dtype: None for p in self.parameters})
        self.count = 0
        self.found_inf: Tensor | None = None
        self._skips = 0
        self._streak = 0
        self._unread: list[Tensor] = []

    def prepare(self, iteration: int) -> bool:
        """Make the gradients those of the whole batch at their true size, and set the rates.

        Returns:
            Whether there are gradients to follow; without, as when no loss is active or more are to be accumulated,
            nothing is to be moved.
        """
        ranks.sum_gradients(self.parameters)
        self.set_rates(iteration)
        if all(parameter.grad is None for parameter in self.parameters):
            return False
        self.precision.unscale(self._all)
        return self.sizing is None or self._accumulate(self.sizing)

    def __call__(self, meters: Meters) -> None:
        """Move the parameters along their gradients, which are dropped afterwards."""
        self._step([p.grad for p in self.parameters if p.grad is not None], meters)
        if self.shards is not None:
            ranks.broadcast_shards(self.shards)
        if self.sizing is not None:
            meters.add(f"{self.name}/accumulated", self._accumulated)
        for parameter in self.parameters:
            parameter.grad = None
        self.count += 1

    def set_rates(self, iteration: int) -> None:
        """Give every group its rate at an iteration."""
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = self.schedule.rate(base, iteration - group.get("schedule_from", 0))

    def _accumulate(self, sizing: BatchSizing) -> bool:
        """Add the gradients to those of earlier iterations. True once their mean is to be followed."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        found_inf = self._find_non_finite(gradients) if self.guard else None
        self._accumulated = sizing.add(found_inf)
        if self._accumulated:
            return True
        if found_inf is not None:
            self.precision.update()
            self._unread.append(found_inf)
        for parameter in self.parameters:
            parameter.grad = None
        return False

    def _step(self, gradients: list[Tensor], meters: Meters) -> None:
        if self.guard:
            self.found_inf = self._find_non_finite(gradients)
        if self.clip is not None:
            norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
            meters.add(f"{self.name}/grad_norm", norm)
            torch._foreach_mul_(gradients, (self.clip / (norm + 1e-6)).clamp(max=1.0))
        if self.found_inf is None:
            self.optimizer.step()
            return
        guarded_step(self.optimizer, self.found_inf)
        self.precision.update()
        self._unread.append(self.found_inf)

    def _find_non_finite(self, gradients: list[Tensor]) -> Tensor:
        """1.0 on the device if any element is NaN or infinite, else 0.0."""
        found = torch.zeros((), device=gradients[0].device)
        unit = torch.ones((), device=gradients[0].device)
        # What GradScaler calls: one pass over all gradients, here with a scale of one.
        for dtype in self._dtypes:
            alike = gradients if len(self._dtypes) == 1 else [g for g in gradients if g.dtype == dtype]
            if alike:
                torch._amp_foreach_non_finite_check_and_unscale_(alike, found, unit)
        return found

    def group_state(self) -> dict[str, Any]:
        """What the optimizer itself has written into its groups, such as a count of steps: `group:<index>/<option>`."""
        return {
            f"group:{index}/{name}": value
            for index, (group, given) in enumerate(zip(self.optimizer.param_groups, self._given, strict=True))
            for name, value in group.items()
            if name not in ("params", "lr") and (isinstance(value, Tensor) or name not in given or value != given[name])
        }

    def skips(self) -> tuple[int, int]:
        """How many updates non-finite gradients cost, and how many in a row until now; waits for the device."""
        for skipped in torch.stack(self._unread).tolist() if self._unread else ():
            self._skips += int(skipped)
            self._streak = self._streak + 1 if skipped else 0
        self._unread.clear()
        return self._skips, self._streak

    @property
    def moved_nothing(self) -> bool:
        """Whether there were gradients to follow, and none of them was finite; waits for the device."""
        skipped, _ = self.skips()
        # What is left out of a sum is skipped before it can be an update.
        good = self.count - skipped if self.sizing is None else self.count + int(self.sizing.count)
        return skipped > 0 and good == 0

    def rates(self) -> list[float]:
        """The present rate of each group."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The counters and the precision's state; the optimizer's own state is saved by name elsewhere."""
        skipped, streak = self.skips()
        return {"count": self.count, "skipped": skipped, "streak": streak, "precision": self.precision.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.count = state["count"]
        self._skips, self._streak = state["skipped"], state["streak"]
        self._unread.clear()
        self.precision.load_state_dict(state["precision"])
