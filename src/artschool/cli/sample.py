"""`artschool sample`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from artschool.cli.options import TrainedRun
from artschool.cli.progress import shown_progress
from artschool.config.source import read_text
from artschool.errors import ConfigError
from artschool.model.computation import Computation
from artschool.model.results import Results, results_of
from artschool.paths import exists, is_dir
from artschool.wording.counting import counted


def sample_command(
    trained: TrainedRun, arguments: Sequence[str], output: Path, *, count: int, seed: int, batch_size: int | None
) -> None:
    """Compute keys of a run from made inputs, write them, and print the files."""
    if exists(output) and not is_dir(output):
        raise ConfigError(f"-o {output}: is a file (expected a folder)")
    keys, inputs = _parsed(arguments)
    console = Console(stderr=True, highlight=False)
    say = partial(console.print, markup=False, soft_wrap=True)
    with redirect_stdout(sys.stderr):  # Networks may print; standard output is for the results.
        model = trained.open(say)
        sampling = model.sampling(*keys, count=count, seed=seed, batch_size=batch_size, **inputs)
        results = results_of(output, model, sampling.cut)
        say(f"{sampling.cut.summary}, after {counted(model.iteration, 'iteration')}")
        with shown_progress(console, count, "samples") as step:
            files = _written(sampling, results, step)
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


def _written(sampling: Computation, results: Mapping[str, Results], step: Callable[[int], None]) -> list[Path]:
    """Compute and write all batches, or leave nothing behind."""
    files: list[Path] = []
    try:
        for batch in sampling:
            for key, result in results.items():
                files += result.write(batch.values[key], batch.captions)
            step(batch.size)
        grids = [file for result in results.values() for file in result.close()]
    except BaseException:
        for result in results.values():
            result.discard()
        raise
    return [*grids, *files]
