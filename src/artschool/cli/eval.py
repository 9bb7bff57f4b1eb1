"""`artschool eval`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import click
from rich.console import Console

from artschool import ranks
from artschool.engine.ending import ending_together
from artschool.engine.run_state import Progress
from artschool.engine.signals import interrupting
from artschool.errors import ConfigError
from artschool.logs.jsonl import json_number
from artschool.start import load_trained


@contextmanager
def _shown_progress(console: Console) -> Iterator[Progress]:
    """A line with the number of finished batches, on a terminal alone. It disappears at the end."""
    if not console.is_terminal or not ranks.is_main():
        yield lambda name, done, total: None
        return
    with console.status("") as status:
        yield lambda name, done, total: status.update(f"evaluate {name}: {done:,} of {total:,} batches")


def eval_command(
    config: Path, overrides: Sequence[str], run_dir: Path | None, checkpoint: Path | None, *, as_json: bool
) -> None:
    """Evaluate a checkpoint and print its metrics, one per line or as a JSON object."""
    with ending_together(), interrupting():
        console = Console(stderr=True, highlight=False)
        with redirect_stdout(sys.stderr):  # Networks and data sets may print; standard output is for the results.
            run = load_trained(config, overrides, run_dir=run_dir, checkpoint=checkpoint, console=console)
            if not run.evaluations:
                raise ConfigError(f"{config}: has no evaluations; add an `evaluate:` section")
            with _shown_progress(console) as progress:
                values = run.evaluate(progress)
        if ranks.is_main() and as_json:
            numbers = {name: json_number(value) for name, value in values.items()}
            click.echo(json.dumps({"iteration": run.iteration, **numbers}))
        elif ranks.is_main():
            for name, value in values.items():
                click.echo(f"{name} {value:.6g}")
