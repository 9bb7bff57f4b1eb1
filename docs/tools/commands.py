"""The reference page of the commands, from what click knows of them."""

from __future__ import annotations

import inspect

import click

from artschool.cli.main import cli
from docs.tools.markdown import prose, table


def page() -> str:
    """The text of the page."""
    context = click.Context(cli, info_name="artschool", **cli.context_settings)
    parts = [f"# Commands\n\n{prose(inspect.cleandoc(cli.help or ''))}\n"]
    parts += [_command(cli.commands[name], context) for name in cli.list_commands(context)]
    return "\n".join(parts)


def _command(command: click.Command, parent: click.Context) -> str:
    context = click.Context(command, info_name=command.name, parent=parent)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    rows = [
        (f"`{record[0]}`", prose(record[1]))
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) is not None and record[1]
    ]
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    text = "\n\n".join(prose(" ".join(part.split())) for part in paragraphs)
    head = f"## artschool {command.name}\n\n```text\n{usage}\n```\n"
    return f"{head}\n{text}\n\n{table(('option', 'meaning'), rows)}"
