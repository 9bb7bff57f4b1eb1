"""`artschool replay`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

from rich.console import Console

from artschool.replay import replay


def replay_command(path: Path) -> bool:
    """Reproduce an incident, and print what was found. Returns whether it was reproduced."""
    console, notes = Console(highlight=False), Console(highlight=False, stderr=True)
    # Networks and data sets may print; standard output is for the results.
    with redirect_stdout(sys.stderr):
        result = replay(path, lambda line: notes.print(line, soft_wrap=True, markup=False))
    for line in result.lines():
        console.print(line, soft_wrap=True, markup=False)
    return result.is_reproduced
