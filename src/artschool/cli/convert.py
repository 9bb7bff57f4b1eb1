"""`artschool convert`."""

from __future__ import annotations

from pathlib import Path

import click

from artschool.config.source import read_file
from artschool.errors import ConfigError
from artschool.faults import Fault
from artschool.legacy.convert import is_legacy
from artschool.legacy.text import written
from artschool.read.check import in_reading_order
from artschool.read.read import convert_file


def convert_command(path: Path) -> None:
    """Print a DL-Art-School file in the language of artschool.

    Raises:
        ConfigError: It is not such a file, or parts of it cannot be converted. The printed file is then a draft.
    """
    tree = read_file(path)
    if not is_legacy(tree):
        raise ConfigError(Fault(tree.place, "", "is not a DL-Art-School file and needs no conversion"))
    converted, notes = convert_file(path, announce=lambda line: click.echo(line, err=True))
    click.echo(written(converted, notes), nl=False)
    if notes.faults:
        raise ConfigError(in_reading_order(notes.faults))
