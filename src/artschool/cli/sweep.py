"""`artschool sweep`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from artschool.config.paths import expand_home
from artschool.errors import ConfigError
from artschool.logs.console import format_number
from artschool.read.read import check_file
from artschool.sweep import Metric, Result, Row, Settings, read_arguments, sweep
from artschool.sweep.parameters import short_names
from artschool.sweep.study import require_optuna, stored_identity

WITHOUT = "-"


def sweep_command(
    config: Path, arguments: Sequence[str], metric: str | None, *, resume: bool, as_json: bool, **options: Any
) -> None:
    """Train the trials of a sweep, and print them.

    Raises:
        ConfigError: The file, an argument or the metric is wrong.
        Interrupted: A signal has stopped the sweep.
    """
    require_optuna()
    console = Console(highlight=False, stderr=as_json)
    settings = _settings(config, arguments, metric, resume=resume, **options)
    result = sweep(settings, lambda line: console.print(line, soft_wrap=True, markup=False))
    if as_json:
        click.echo(json.dumps(_as_json(settings, result), indent=2))
    else:
        print_result(Console(highlight=False), settings, result)


def _settings(
    config: Path,
    arguments: Sequence[str],
    metric: str | None,
    *,
    resume: bool,
    name: str | None,
    folder: Path | None,
    seeds: int | None,
    storage: str | None,
    **options: Any,
) -> Settings:
    parameters, overrides = read_arguments(arguments)
    name = name or check_file(config, overrides).sections.name
    folder, storage = expand_home(folder or Path("sweeps") / name), storage or ""
    known = stored_identity(name, folder, storage) if resume else None
    if resume and known is None:
        raise ConfigError(f"--resume: there is no sweep {name!r} in {folder}")
    if known is not None and not parameters:
        parameters, overrides = read_arguments([*known["parameters"], *known["overrides"], *overrides])
        metric, seeds = metric or known["metric"], seeds or known["seeds"]
    if metric is None:
        raise ConfigError("--metric: missing. Fix: --metric held/psnr:max, with an evaluation and a metric of the file")
    settings = Settings(config, parameters, overrides, Metric.of(metric), folder, name, storage=storage)
    return replace(settings, seeds=seeds or 1, **options)


def print_result(console: Console, settings: Settings, result: Result) -> None:
    """Print the trials, the best one, and how to use it."""
    names = short_names([parameter.path for parameter in settings.parameters])
    table = Table("trial", settings.metric.name, "state", "iterations", *names.values(), box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in result.rows:
        done = WITHOUT if row.iterations is None else str(row.iterations)
        values = [_number(row.parameters.get(path)) for path in names]
        table.add_row(str(row.trial), _value(row), row.state, done, *values)
    console.print(table)
    for row in result.rows:
        if row.reason:
            console.print(f"trial {row.trial} failed: {row.reason}", markup=False, soft_wrap=True)
    if result.importance:
        shares = ", ".join(f"{names.get(path, path)} {share:.0%}" for path, share in result.importance.items())
        console.print(f"importance: {shares}", markup=False, soft_wrap=True)
    if result.best is None or result.training is None:
        console.print("no trial has finished")
        return
    console.print(f"best: trial {result.best.trial}, {settings.metric.name} {_value(result.best)}")
    console.print(f"use it: artschool.open({str(result.training)!r})", markup=False, soft_wrap=True)
    unit = "iterations" if check_file(settings.config, settings.overrides).sections.train.iterations else "epochs"
    command = f"artschool train {result.training / 'config.yml'} train.{unit}=NUMBER"
    console.print(f"train longer: {command}", markup=False, soft_wrap=True)


def _value(row: Row) -> str:
    if row.value is None:
        return WITHOUT
    return format_number(row.value) + (f" ± {format_number(row.spread)}" if row.spread is not None else "")


def _number(value: object) -> str:
    if isinstance(value, int | float):
        return format_number(value)
    return WITHOUT if value is None else str(value)


def _as_json(settings: Settings, result: Result) -> dict[str, Any]:
    return {
        "name": settings.name,
        "metric": settings.metric.name,
        "mode": settings.metric.mode,
        "best": asdict(result.best) if result.best is not None else None,
        "training": str(result.training) if result.training is not None else None,
        "importance": result.importance,
        "trials": [asdict(row) for row in result.rows],
    }
