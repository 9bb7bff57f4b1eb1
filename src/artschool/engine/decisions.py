"""What a run decides by the numbers that it logs: gates, rates that fall on a plateau, and its end.

A decision is made after an iteration that logs its number, on the host, from a mean that all processes have. It applies
from the next iteration on. Checkpoints contain its state, so that a resumed run decides alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from artschool.config.value_gates import Rule
from artschool.config.when import When
from artschool.errors import StateError
from artschool.registry.followers import Follower, Improvement
from artschool.steps.call import describe_value
from artschool.steps.state import State


@dataclass(frozen=True)
class Decision:
    """A follower, and what it decides.

    Attributes:
        start: The first iteration whose number it sees.
        changes: Name in the log of the scheduled number that it changes. Empty: it changes something else.
    """

    follower: Follower
    start: int = 0
    changes: str = ""


class NumberGate:
    """A gate that opens and closes by a number of the log. Open until the number is first logged; NaN closes it."""

    def __init__(self, rule: Rule) -> None:
        self.metric = rule.value
        self.is_open = True
        self._rule = rule

    def see(self, value: float) -> None:
        """Open or close."""
        rule = self._rule
        limit = rule.closes if self.is_open else rule.opens
        self.is_open = value < limit if rule.is_below else value > limit

    def state_dict(self) -> dict[str, Any]:
        """Whether the gate is open."""
        return {"open": self.is_open}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.is_open = state["open"]


@dataclass(frozen=True)
class WhenOpen(When):
    """The iterations of a set at which a gate is open. Only the past and the present are known."""

    gate: NumberGate | None = None

    def active(self, iteration: int) -> bool:
        """Whether the set contains the iteration, and the gate is open now."""
        return (self.gate is None or self.gate.is_open) and super().active(iteration)


def gated(when: When, gate: NumberGate | None) -> When:
    """The iterations of a set at which a gate is open. None: all of them."""
    return when if gate is None else WhenOpen(when.after, when.before, when.every, when.at, gate)


class KeyGate(nn.Module):
    """A gate that opens and closes by a key of the dataflow, on the device: it skips the update of the iteration.

    Attributes:
        key: The name of the key.
        open: 1.0 if the last update was made, 0.0 if it was skipped.
    """

    open: Tensor

    def __init__(self, rule: Rule, device: torch.device) -> None:
        super().__init__()
        self.key = rule.value
        self._rule = rule
        self.register_buffer("open", torch.ones((), device=device))

    @torch.no_grad()
    def read(self, state: State, share: float) -> Tensor:
        """The mean of the key's value, a tensor of any shape or a number, times `share`; and `share`. (2,).

        Args:
            share: The part of the samples of the whole batch that `state` has.
        """
        value = state.values[self.key]
        if not isinstance(value, Tensor | int | float):
            raise StateError(f"`while` reads {self.key!r}: expected a tensor or a number, got {describe_value(value)}")
        number = value if isinstance(value, Tensor) else torch.full_like(self.open, value)
        mean = number.to(self.open).mean()
        return torch.stack([mean * share, torch.full_like(mean, share)])

    @torch.no_grad()
    def closed(self, total: Tensor) -> Tensor:
        """1.0 if the gate is closed, 0.0 if it is open. Does not wait for the device.

        Args:
            total: The sum of what `read` gives for the batch. A mean of NaN closes the gate. A batch without the key,
                whose shares are 0, leaves the gate as it is.
        """
        rule = self._rule
        value, share = total[0] / total[1], total[1]
        limit = torch.where(self.open > 0, rule.closes, rule.opens)
        opens = value < limit if rule.is_below else value > limit
        self.open.copy_(torch.where(share > 0, opens.to(self.open.dtype), self.open))
        return 1.0 - self.open


class Stop(Improvement):
    """Ends the training when a number has not improved for a while.

    Attributes:
        patience: Number of values in a row without an improvement after which training ends.
    """

    def __init__(self, metric: str, mode: str, patience: int, threshold: float) -> None:
        super().__init__(mode, threshold, is_relative=False)
        self.metric = metric
        self.patience = patience

    @property
    def reason(self) -> str:
        """Why the training ends; empty if it does not."""
        if self.count < self.patience:
            return ""
        best = "had no value" if self.best is None else f"has not improved on {self.best:.4g}"
        return f"{self.metric} {best} in {self.count} measurement{'' if self.count == 1 else 's'}"
