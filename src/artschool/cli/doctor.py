"""`artschool doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from artschool.cli.columns import print_columns
from artschool.diagnose.doctor import doctor


def doctor_command(folder: Path | None, *, as_json: bool) -> bool:
    """Print what is wrong with this machine and a run folder, and whether anything is."""
    findings = doctor(folder)
    problems = [finding for finding in findings if finding.fix]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
        return bool(problems)
    rows = [
        (f"{'problem' if each.fix else 'ok'}", each.check, f"{each.text}{f'. Fix: {each.fix}' if each.fix else ''}")
        for each in findings
    ]
    print_columns(Console(highlight=False), rows)
    number = len(problems)
    click.echo(f"{number} problem{'s' if number > 1 else ''}" if number else "nothing is wrong")
    return bool(problems)
