"""`artschool convert`."""

from __future__ import annotations

from pathlib import Path

import click

from artschool.config.source import read_file
from artschool.errors import ConfigError, Fault
from artschool.legacy.convert import convert, is_legacy
from artschool.legacy.text import written
from artschool.read.check import in_reading_order


def convert_command(path: Path) -> None:
    """Print a file of the reference in our language. One that cannot be converted whole is a draft, and exit code 2."""
    tree = read_file(path)
    if not is_legacy(tree):
        raise ConfigError(Fault(tree.place, "", "is no file of DL-Art-School; it needs no conversion"))
    converted, notes = convert(read_file(path, yaml11=True))
    click.echo(written(converted, notes), nl=False)
    if notes.faults:
        raise ConfigError(in_reading_order(notes.faults))
