"""The findings of all rules in a file, without those that its comments allow."""

from __future__ import annotations

from dataclasses import dataclass

from artschool.faults import Fault
from artschool.lint.allow import Allow, allows_of, sources_of, wrong_allows
from artschool.lint.rules import RULES
from artschool.lint.subject import Subject


@dataclass(frozen=True)
class Finding:
    """A fault that a rule found."""

    rule: str
    fault: Fault

    def __str__(self) -> str:
        head, *hint = str(self.fault).split("\n")
        return "\n".join([f"{head} ({self.rule})", *hint])


def lint(subject: Subject) -> list[Finding]:
    """Apply all rules to a checked file.

    Returns:
        The findings that its comments do not allow, and the faults of those comments, in reading order.
    """
    allows = [allow for source in sources_of(subject.config.tree) for allow in allows_of(source)]
    findings: list[Finding] = []
    used: set[Allow] = set()
    for rule in RULES.values():
        for fault in dict.fromkeys(rule.check(subject)):
            silencing = [allow for allow in allows if allow.covers(rule.name, fault.place)]
            used.update(silencing)
            if not silencing:
                findings.append(Finding(rule.name, fault))
    findings += [Finding("allow", fault) for fault in wrong_allows(subject, allows, used, RULES)]
    return sorted(findings, key=lambda found: (*_order(found.fault), found.rule))


def _order(fault: Fault) -> tuple[str, int, int]:
    return fault.place.source, fault.place.line, fault.place.column
