"""`artschool lint`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from artschool.cli.columns import print_columns, print_docstring
from artschool.errors import ConfigError
from artschool.faults import Fault, Place
from artschool.lint import RULES, Subject, lint
from artschool.read.read import check_file
from artschool.wording.names import allowed


def lint_command(path: Path, overrides: Sequence[str], *, with_plugins: bool) -> int:
    """Print the findings of all rules in a file, and return their number."""
    console = Console(highlight=False)

    def print_line(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    findings = lint(Subject(check_file(path, overrides, with_plugins=with_plugins, announce=print_line)))
    for finding in findings:
        print_line(str(finding))
    number = len(findings)
    print_line(f"{path}: {number} finding{'' if number == 1 else 's'}." if number else f"{path}: no findings.")
    return number


def rules_command(name: str | None) -> None:
    """List the rules, or explain one.

    Raises:
        ConfigError: The rule is unknown.
    """
    console = Console(highlight=False)
    if name is None:
        print_columns(console, [(rule.name, rule.summary) for rule in RULES.values()])
        return
    if name not in RULES:
        raise ConfigError(Fault(Place(""), "", f"unknown rule {name!r}", allowed("Available rules", name, RULES)))
    rule = RULES[name]
    allow = f"To allow it, write `# lint: allow {rule.name}: reason` on its line or the line above."
    print_docstring(console, f"{rule.name}\n\n{rule.reason}\n\n{allow}")
