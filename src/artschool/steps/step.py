"""A step as a flat list of calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from artschool.config.when import When
from artschool.steps.call import InjectorCall, LossCall
from artschool.steps.state import State

RecordLoss = Callable[[str, Tensor], None]


@dataclass
class Step:
    """The injectors and losses of a step.

    Attributes:
        when: The iterations at which the step runs.
        kept: The keys that are read after this step.
        requires: Keys without which the step is skipped for a batch.
    """

    name: str
    when: When
    injectors: Sequence[InjectorCall]
    losses: Sequence[LossCall]
    kept: frozenset[str]
    requires: Sequence[str] = ()

    def forward(self, state: State, iteration: int, record: RecordLoss) -> Tensor | None:
        """Run the active injectors and losses, in the order of the config file.

        Args:
            record: Called with the name and the unweighted value of each loss.

        Returns:
            The weighted sum of the active losses. None: no loss is active.
        """
        if self.requires and not all(key in state.values for key in self.requires):
            return None
        for injector in self.injectors:
            if injector.when.active(iteration):
                injector(state)
        total: Tensor | None = None
        for loss in self.losses:
            if not loss.when.active(iteration):
                continue
            value = loss(state)
            record(loss.name, value)
            weighted = value if loss.weight == 1 else value * loss.weight
            total = weighted if total is None else total + weighted
        return total
