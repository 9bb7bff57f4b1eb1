"""`artschool new`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from artschool.cli.columns import print_columns
from artschool.errors import ConfigError
from artschool.new.templates import (
    FILE,
    files_of_recipe,
    files_of_template,
    find_template,
    recipes,
    template_names,
)
from artschool.storage.new_folder import refuse_existing

RECIPE = "recipe:"


def new_command(names: Sequence[str], data: Path | None, *, listed: bool) -> None:
    """Write a folder with a file to train, or list what it can be.

    Args:
        names: A template or `recipe:NAME`, and the folder to write. On a terminal, either may be left out.
        data: Folder of the user's files. None: data that comes with the template.
        listed: Whether to list templates and recipes instead.
    """
    asks = sys.stdin.isatty() and sys.stdout.isatty()
    if listed or (not names and not asks):
        list_command()
        return
    chosen, folder = _asked(names, asks=asks)
    refuse_existing(folder)
    if chosen.startswith(RECIPE):
        if data is not None:
            raise ConfigError("--data is for templates; a recipe keeps its own data. Fix: leave one of them out")
        file = f"{chosen.removeprefix(RECIPE)}.yml"
        files = files_of_recipe(chosen.removeprefix(RECIPE))
    else:
        template, file = find_template(chosen), FILE
        if data is None and asks:
            question = "Folder of your files (empty: data that comes with it)"
            answer = click.prompt(question, default="", show_default=False)
            data = Path(answer).expanduser() if answer else None
        files = _fitted(template.name, folder, data)
    _write(folder, files)
    if not chosen.startswith(RECIPE):
        _prove(folder / file)


def list_command() -> None:
    """Print templates and recipes, one on a line."""
    console = Console(highlight=False)
    rows = [(name, find_template(name).summary) for name in template_names()]
    print_columns(console, rows + [(f"{RECIPE}{name}", summary) for name, summary in recipes().items()])


def _asked(names: Sequence[str], *, asks: bool) -> tuple[str, Path]:
    """The template and the folder, of which a terminal is asked for what is missing."""
    if len(names) == 2:
        return names[0], Path(names[1])
    if len(names) > 2:
        raise click.UsageError("expected TEMPLATE and DIR.")
    if not asks:
        raise click.UsageError("expected TEMPLATE and DIR. Without arguments, templates are listed.")
    is_template = bool(names) and (names[0] in template_names() or names[0].startswith(RECIPE))
    if is_template:
        return names[0], Path(click.prompt("Folder to write"))
    list_command()
    chosen = click.prompt("Template", type=click.Choice([*template_names()]), show_choices=False)
    return chosen, Path(names[0] if names else click.prompt("Folder to write"))


def _fitted(name: str, folder: Path, data: Path | None) -> dict[str, bytes]:
    from artschool.new.fit import run_name, settings_of
    from artschool.new.look import look_at

    template, path = find_template(name), data.resolve() if data is not None else None
    found = look_at(path) if path is not None else None
    if found is not None:
        click.echo(f"{data}: {found}")
    return files_of_template(template, settings_of(template, run_name(folder), path, found))


def _write(folder: Path, files: dict[str, bytes]) -> None:
    from artschool.storage.durable import write_file
    from artschool.storage.new_folder import new_folder

    with new_folder(folder) as temporary:
        for name, content in files.items():
            write_file(temporary / name, content)
    for name in files:
        click.echo(f"wrote {folder / name}")


def _prove(file: Path) -> None:
    """Name a schema for editors in the file, and check it with its data."""
    from artschool.cli.schema import schema_command
    from artschool.lint import Subject, lint
    from artschool.read.read import check_file
    from artschool.trace.trace import trace

    schema_command(file, None)
    config = check_file(file)
    found = trace(config)
    for warning in [*config.warnings, *lint(Subject(config, found.networks)), *found.warnings]:
        click.echo(f"warning: {warning}")
    for note in found.notes:
        click.echo(note)
    click.echo(f"{file}: valid. {file.with_name('README.md')} says how to train and use it.")
