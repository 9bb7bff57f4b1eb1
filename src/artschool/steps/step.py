"""A step of the plan: a flat list of bound calls."""

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
    """Injectors, then losses.

    Attributes:
        when: When it runs at all.
        kept: The keys that something after this step reads.
        requires: Without one of these keys nothing runs.
    """

    name: str
    when: When
    injectors: Sequence[InjectorCall]
    losses: Sequence[LossCall]
    kept: frozenset[str]
    requires: Sequence[str] = ()

    def forward(self, state: State, iteration: int, record: RecordLoss) -> Tensor | None:
        """Run everything that is active, in file order.

        Args:
            record: Told each loss, unweighted.

        Returns:
            The weighted sum of the active losses, None when none is.
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
