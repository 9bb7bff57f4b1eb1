"""A step as a flat list of calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from artschool.config.when import When
from artschool.errors import StateError
from artschool.steps.call import InjectorCall, LossCall, without_gradient
from artschool.steps.state import State

RecordLoss = Callable[[str, Tensor], None]
NO_FACTORS: Mapping[str, Tensor] = {}


@dataclass
class Step:
    """The injectors and losses of a step.

    Attributes:
        when: The iterations at which the step runs.
        kept: The keys that are read after this step.
        requires: Keys without which the step is skipped for a batch.
        counted_first: The paths of the injectors that run on all micro-batches first, so that places can be counted.
        counted_late: The paths of the losses whose places are not known before all injectors have run.
        late_injectors: The injectors that run after the losses, since they read the value of one.
        streams: For each loss that reads one stream, and not the first one, that stream, by the name of the loss.
    """

    name: str
    when: When
    injectors: Sequence[InjectorCall]
    losses: Sequence[LossCall]
    kept: frozenset[str]
    requires: Sequence[str] = ()
    counted_first: frozenset[str] = frozenset()
    counted_late: frozenset[str] = frozenset()
    late_injectors: Sequence[InjectorCall] = ()
    streams: Mapping[str, str] = field(default_factory=dict)

    def takes(self, state: State) -> bool:
        """Whether the step runs on a state: it has all required keys."""
        return not self.requires or all(key in state.values for key in self.requires)

    def counted(self, iteration: int, *, is_whole: bool) -> list[LossCall]:
        """The active losses whose places can be counted before the first loss is computed.

        Args:
            is_whole: Whether there is a single micro-batch, so that all injectors can run before.
        """
        return [
            loss
            for loss in self.losses
            if loss.count is not None
            and loss.when.active(iteration)
            and (is_whole or loss.path not in self.counted_late)
        ]

    def inject_early(self, state: State, iteration: int, *, is_whole: bool) -> None:
        """Run the injectors on which counts depend. `forward` then skips them."""
        for injector in self.injectors:
            if injector.when.active(iteration) and (is_whole or injector.path in self.counted_first):
                injector(state)
                state.called_early.add(injector.path)

    def forward(
        self,
        state: State,
        iteration: int,
        record: RecordLoss,
        factors: Mapping[str, Tensor] = NO_FACTORS,
        *,
        is_trained: bool = False,
    ) -> Tensor | None:
        """Run the step to train it: `compute`, and read the weights of the losses.

        Args:
            is_trained: Whether the gradient of the sum is wanted.

        Returns:
            The weighted sum of the active losses. None: no loss is active.

        Raises:
            StateError: The sum can have no gradient, because a loss is an integer or a complex number.
        """
        total: Tensor | None = None
        values = self.compute(state, iteration, partial(_record_real, record) if is_trained else record, factors)
        for loss, value in values:
            weight = loss.factor(state)
            weighted = value * weight if isinstance(weight, Tensor) or weight != 1 else value
            total = weighted if total is None else total + weighted
        if is_trained and total is not None and (total.is_complex() or not total.requires_grad):
            for loss, value in values:
                if (problem := without_gradient(value)) is not None:
                    raise StateError(f"{loss.place}: {loss.path}: {problem[0]}, at iteration {iteration}. {problem[1]}")
        return total

    def compute(
        self, state: State, iteration: int, record: RecordLoss, factors: Mapping[str, Tensor] = NO_FACTORS
    ) -> list[tuple[LossCall, Tensor]]:
        """Run the active injectors, losses and late injectors, each in the order of the config file.

        Args:
            record: Called with the name and the unweighted value of each loss.
            factors: Factors of losses by name. A loss with factor 0 is 0, even if it is NaN.

        Returns:
            The active losses with their values before weights.
        """
        if not self.takes(state):
            return []
        for injector in self.injectors:
            if injector.when.active(iteration) and injector.path not in state.called_early:
                injector(state)
        values: list[tuple[LossCall, Tensor]] = []
        for loss in self.losses:
            if not loss.when.active(iteration):
                continue
            value = loss(state)
            if loss.name in factors:
                factor = factors[loss.name].to(value.dtype)
                value = torch.where(factor > 0, value * factor, 0.0)
            record(loss.name, value)
            if loss.out is not None:
                state.write(loss.out, value, writer=loss.path)
            values.append((loss, value))
        for injector in self.late_injectors:
            if injector.when.active(iteration):
                injector(state)
        return values


def _record_real(record: RecordLoss, name: str, value: Tensor) -> None:
    """Record a loss, unless it is complex: it is refused, and torch would warn of its number."""
    if not value.is_complex():
        record(name, value)
