"""Finds settings that are valid but probably a mistake."""

from artschool.lint.findings import Finding, lint
from artschool.lint.rule import Rule
from artschool.lint.rules import RULES
from artschool.lint.subject import Subject

__all__ = ["RULES", "Finding", "Rule", "Subject", "lint"]
