"""Judgement: what is allowed in a file, but what somebody who knows the field would ask about."""

from artschool.lint.findings import Finding, lint
from artschool.lint.rule import Rule
from artschool.lint.rules import RULES
from artschool.lint.subject import Subject

__all__ = ["RULES", "Finding", "Rule", "Subject", "lint"]
