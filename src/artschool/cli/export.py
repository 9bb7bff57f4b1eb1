"""`artschool export`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import click
from rich.console import Console
from safetensors.torch import save

from artschool.engine.adapters import export_adapters, has_adapters, merge_adapters
from artschool.engine.run import Run
from artschool.errors import ConfigError, allowed
from artschool.start import load_trained
from artschool.storage.durable import write_file


def export_command(
    config: Path,
    network: str,
    overrides: Sequence[str],
    run_dir: Path | None,
    checkpoint: Path | None,
    output: Path,
    *,
    merged: bool,
) -> None:
    """Write the adapters of a network of a checkpoint, or all its weights, into a folder."""
    with redirect_stdout(sys.stderr):  # Networks and data sets may print; standard output is for the results.
        console = Console(stderr=True, highlight=False)
        run = load_trained(config, overrides, run_dir=run_dir, checkpoint=checkpoint, console=console)
        files = _export(run, network, output, merged=merged)
    for file in files:
        click.echo(file)


def _export(run: Run, name: str, output: Path, *, merged: bool) -> list[Path]:
    modules = {**run.networks, **{ema.name: ema.module for ema in run.emas.values()}}
    if name not in modules:
        raise ConfigError(f"unknown network {name!r}. {allowed('Available networks', name, modules)}")
    module = modules[name]
    if has_adapters(module) and not merged:
        return export_adapters(module, output)
    if has_adapters(module):
        merge_adapters(module)
    output.mkdir(parents=True, exist_ok=True)
    file = output / f"{name}.safetensors"
    write_file(file, save({key: value.contiguous().cpu() for key, value in module.state_dict().items()}))
    return [file]
