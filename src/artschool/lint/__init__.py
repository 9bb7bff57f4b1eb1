"""Lint: rules that question what a file may say but probably does not mean."""

from artschool.lint.findings import Finding, lint
from artschool.lint.rule import Rule
from artschool.lint.rules import RULES
from artschool.lint.subject import Subject

__all__ = ["RULES", "Finding", "Rule", "Subject", "lint"]
