"""A lint rule: a function that checks a file, its name, and the reason for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from artschool.faults import Fault
from artschool.lint.subject import Subject

Check = Callable[[Subject], Iterable[Fault]]


@dataclass(frozen=True)
class Rule:
    """A lint rule.

    Attributes:
        name: The name in findings and in comments that allow them.
        check: Yields a fault for each finding.
        reason: Why a finding matters and how to fix it. The first line is a summary.
        sees_networks: Whether the rule finds more if the networks are built.
        sees_processes: Whether the rule finds more if several processes train.
    """

    name: str
    check: Check
    reason: str
    sees_networks: bool = False
    sees_processes: bool = False

    @property
    def summary(self) -> str:
        """The first line of the reason."""
        return self.reason.split("\n", 1)[0]


def rules_of(*checks: Check, sees_networks: bool = False, sees_processes: bool = False) -> list[Rule]:
    """A rule for each function: `critic_momentum` becomes the rule `critic-momentum`, and its docstring the reason."""
    reasons = {check: inspect.cleandoc(check.__doc__ or "") for check in checks}
    return [Rule(_name_of(check), check, reason, sees_networks, sees_processes) for check, reason in reasons.items()]


def _name_of(check: Check) -> str:
    return str(getattr(check, "__name__", "")).replace("_", "-")
