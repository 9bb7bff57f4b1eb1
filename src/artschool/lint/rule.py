"""A rule: a function that looks at a file, its name, and why."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from artschool.errors import Fault
from artschool.lint.subject import Subject

Check = Callable[[Subject], Iterable[Fault]]


@dataclass(frozen=True)
class Rule:
    """One thing to judge.

    Attributes:
        name: As a comment that silences it says it.
        check: Yields a fault for each place that it objects to.
        reason: Why it matters and what to do, its first line a summary.
        sees_networks: Whether it finds more where the networks are built.
    """

    name: str
    check: Check
    reason: str
    sees_networks: bool = False

    @property
    def summary(self) -> str:
        """The first line of the reason."""
        return self.reason.split("\n", 1)[0]


def rules_of(*checks: Check, sees_networks: bool = False) -> list[Rule]:
    """A rule of each function: `critic_momentum` is called `critic-momentum`, and its docstring is the reason."""
    return [Rule(_name_of(check), check, inspect.cleandoc(check.__doc__ or ""), sees_networks) for check in checks]


def _name_of(check: Check) -> str:
    return str(getattr(check, "__name__", "")).replace("_", "-")
