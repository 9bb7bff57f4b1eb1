"""`artschool sample`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from artschool.cli.progress import shown_progress
from artschool.config.source import read_text
from artschool.errors import ConfigError
from artschool.model.model import Model
from artschool.model.opening import open_run
from artschool.model.results import Results, sample_rate_of
from artschool.wording.counting import counted


def sample_command(
    run: Path,
    arguments: Sequence[str],
    output: Path,
    *,
    count: int,
    seed: int,
    checkpoint: str,
    device: str,
    batch_size: int | None,
    raw: bool,
) -> None:
    """Compute keys of a run from made inputs, write them, and print the files."""
    keys, inputs = _parsed(arguments)
    console = Console(stderr=True, highlight=False)
    with redirect_stdout(sys.stderr):  # Networks may print; standard output is for the results.
        model = open_run(
            run, checkpoint, device, average=not raw, report=lambda line: console.print(line, markup=False)
        )
        files = _sample(model, keys, inputs, output, count, seed, batch_size, console)
    for file in files:
        click.echo(file)


def _parsed(arguments: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Keys, and values by key: numbers, text, or lists of them."""
    inputs: dict[str, Any] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if equals:
            inputs[key] = read_text(text, f"value {argument}").plain() if text else ""
    return [argument for argument in arguments if "=" not in argument], inputs


def _sample(
    model: Model,
    keys: Sequence[str],
    inputs: Mapping[str, Any],
    output: Path,
    count: int,
    seed: int,
    batch_size: int | None,
    console: Console,
) -> list[Path]:
    if output.exists() and not output.is_dir():
        raise ConfigError(f"-o {output}: is a file (expected a folder)")
    sampling = model.sampling(*keys, count=count, seed=seed, batch_size=batch_size, **inputs)
    flow = sampling.cut.flow
    rate = sample_rate_of(model.config, flow)
    results = {key: Results(output, key, model.range_of(key), rate) for key in sampling.cut.keys}
    what = f"{', '.join(results)} of {flow.path}, by {', '.join(sampling.networks) or 'no network'}"
    console.print(f"{what}, after {counted(model.iteration, 'iteration')}", markup=False, soft_wrap=True)
    files: list[Path] = []
    grids: list[Path] = []
    with shown_progress(console, count, "samples") as step:
        for batch in sampling:
            for key, result in results.items():
                files += result.write(batch.values[key], batch.captions)
            step(batch.size)
    for result in results.values():
        grids += result.close()
    return [*grids, *files]
