"""One optimizer update: sum gradients over processes, unscale, find non-finite numbers, clip, step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.engine.batch_sizing import BatchSizing
from artschool.engine.exchange import Exchange
from artschool.engine.gradient_norm import total_norm
from artschool.engine.meters import Meters
from artschool.engine.precision import Precision
from artschool.engine.real_view import real_view
from artschool.engine.scheduled_optimizer import ScheduledOptimizer
from artschool.engine.skip_counter import SkipCounter, Skips, zeros


class Update:
    """Turns the gradients of a step into one move of its parameters.

    Args:
        name: Name of the step.
        scheduled: The optimizer and its parameters.
        clip: Maximum global norm of the gradients of all parameters. None: no limit.
        skip_non_finite: Whether non-finite gradients leave the parameters as they are. Always true with fp16.
        sizing: Accumulates gradients over iterations. None: every iteration updates.
        parameters: The parameters that the step trains, if the optimizer and the precision are those of another step.
            None: all that the optimizer has.

    Attributes:
        optimizer: The optimizer of torch.
        owns_optimizer: Whether the optimizer is that of the step itself.
        parameters: All parameters that the step trains, over all processes.
        exchange: Sums their gradients over processes.
        count: Number of updates so far, skipped ones included.
        found_inf: On the device, 1.0 if the last update was skipped and 0.0 if not. None if nothing is skipped.
        non_finite: On the device, 1.0 if the last gradients were not finite and 0.0 if they were. None: nothing has
            looked, or there were none.
    """

    def __init__(
        self,
        name: str,
        scheduled: ScheduledOptimizer,
        precision: Precision,
        *,
        clip: float | None = None,
        skip_non_finite: bool,
        sizing: BatchSizing | None = None,
        parameters: Sequence[nn.Parameter] | None = None,
    ) -> None:
        self.name = name
        self.scheduled = scheduled
        self.optimizer = scheduled.optimizer
        self.owns_optimizer = parameters is None
        self.parameters = scheduled.parameters if parameters is None else parameters
        self.exchange = Exchange(name, self.parameters)
        self.precision = precision
        self.clip = clip
        self.skip_non_finite = skip_non_finite or precision.kind == "fp16"
        self.sizing = sizing
        self.count = 0
        self.found_inf: Tensor | None = None
        self.non_finite: Tensor | None = None
        self._accumulated = 0
        self._iteration = 0
        self._unit = torch.ones((), device=self.parameters[0].device)
        self._zeros = zeros(self._unit.device)
        self._dtypes = list({p.dtype: None for p in self.parameters})
        self._is_complex = any(dtype.is_complex for dtype in self._dtypes)
        self._is_sharded = any(map(ranks.is_sharded, self.parameters))
        self._skips = SkipCounter()

    def prepare(self, iteration: int) -> bool:
        """Unscale the gradients, which are summed over processes, and set the learning rates.

        Returns:
            Whether to update now. False if no parameter has a gradient, or if `sizing` needs more of them.
        """
        self._iteration = iteration
        self.scheduled.set_rates(iteration)
        if all(parameter.grad is None for parameter in self.parameters):
            return False
        if self._is_complex:
            self._resolve_conjugates()
        self.scheduled.unscale(self.precision)
        return self.sizing is None or self._accumulate(self.sizing)

    def __call__(self, meters: Meters, closed: Tensor | None = None) -> None:
        """Move the parameters along their gradients, then drop the gradients.

        Args:
            closed: A scalar on the device; 1.0 leaves the parameters as they are. None: move them.
        """
        self._step(self.scheduled.gradients(), meters, closed)
        self.scheduled.exchange_shards()
        if self.sizing is not None:
            meters.add(f"{self.name}/accumulated", self._accumulated)
        self.scheduled.drop_gradients()
        self.count += 1

    def _resolve_conjugates(self) -> None:
        """Compute gradients that are lazy conjugates, which the optimizers of torch and clipping do not take."""
        for parameter in self.parameters:
            if parameter.grad is not None and parameter.grad.is_conj():
                parameter.grad = parameter.grad.resolve_conj()

    def _accumulate(self, sizing: BatchSizing) -> bool:
        """Add the gradients to those of earlier iterations. True once their mean is the gradient of an update."""
        self.non_finite = self._find_non_finite(self.scheduled.gradients()) if self.skip_non_finite else None
        self._accumulated = sizing.add(self.non_finite)
        if self._accumulated:
            return True
        if self.non_finite is not None:
            self.precision.update()
            self._skips.add(self.non_finite, self._iteration)
        self.scheduled.drop_gradients()
        return False

    def _step(self, gradients: list[Tensor], meters: Meters, closed: Tensor | None) -> None:
        self.non_finite = self._find_non_finite(gradients) if self.skip_non_finite else None
        if self.clip is not None:
            norm = total_norm([p.grad for p in self.parameters if p.grad is not None], foreach=True)
            meters.add(f"{self.name}/grad_norm", norm)
            torch._foreach_mul_(gradients, (self.clip / (norm + 1e-6)).clamp(max=1.0))
        both = [flag for flag in (self.non_finite, closed) if flag is not None]
        self.found_inf = torch.maximum(*both) if len(both) == 2 else next(iter(both), None)
        self.scheduled.step(self.found_inf)
        if self.non_finite is not None:
            self.precision.update()
            self._skips.add(self.non_finite, self._iteration)

    def _find_non_finite(self, gradients: list[Tensor]) -> Tensor:
        """1.0 on the device if any element is NaN or infinite, else 0.0."""
        found = next(self._zeros)
        # GradScaler's kernel: one pass over all gradients, here with a scale of one.
        for dtype in self._dtypes:
            same_dtype = gradients if len(self._dtypes) == 1 else [g for g in gradients if g.dtype == dtype]
            if dtype.is_complex:
                same_dtype = [real_view(gradient) for gradient in same_dtype]
            if same_dtype:
                torch._amp_foreach_non_finite_check_and_unscale_(same_dtype, found, self._unit)
        if self._is_sharded:
            ranks.largest_in_place(found)
        return found

    def skips(self) -> Skips:
        """How many updates were skipped because of non-finite gradients; waits for the device."""
        return self._skips.read()

    def take_first_skip(self) -> int | None:
        """The first iteration since the last call whose update was skipped. None: none was. Waits for the device."""
        return self._skips.take_first()

    @property
    def skipped_every_update(self) -> bool:
        """Whether there were updates, and all of them were skipped; waits for the device."""
        skipped = self.skips().total
        # Non-finite gradients are left out of a sum before it counts as an update.
        finite = self.count - skipped if self.sizing is None else self.count + int(self.sizing.count)
        return skipped > 0 and finite == 0

    def state_dict(self) -> dict[str, Any]:
        """The counters and the state of the precision. The checkpoint saves the optimizer's state by name."""
        total, consecutive = self.skips()
        precision = self.precision.state_dict() if self.owns_optimizer else {}
        return {"count": self.count, "skipped": total, "streak": consecutive, "precision": precision}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.count = state["count"]
        self._skips.restore(Skips(state["skipped"], state["streak"]))
        if self.owns_optimizer:
            self.precision.load_state_dict(state["precision"])
