"""`artschool lint`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from artschool.cli.columns import print_columns, print_docstring
from artschool.errors import ConfigError, Fault, Place, allowed
from artschool.lint import RULES, Subject, lint
from artschool.read.read import check_file


def lint_command(path: Path, overrides: Sequence[str], *, with_plugins: bool) -> int:
    """Print what the rules object to in a file, and return how much that is."""
    console = Console(highlight=False)

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    findings = lint(Subject(check_file(path, overrides, with_plugins=with_plugins, announce=say)))
    for finding in findings:
        say(str(finding))
    number = len(findings)
    say(f"{path}: {number} finding{'' if number == 1 else 's'}." if number else f"{path}: nothing to object to.")
    return number


def rules_command(name: str | None) -> None:
    """List the rules, or explain one.

    Raises:
        ConfigError: There is no such rule.
    """
    console = Console(highlight=False)
    if name is None:
        print_columns(console, [(rule.name, rule.summary) for rule in RULES.values()])
        return
    if name not in RULES:
        raise ConfigError(Fault(Place(""), "", f"there is no rule {name!r}", allowed("The rules are", name, RULES)))
    rule = RULES[name]
    allow = f"To allow it: `# lint: allow {rule.name}: why`, at its line or above."
    print_docstring(console, f"{rule.name}\n\n{rule.reason}\n\n{allow}")
