"""`artschool graph`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from artschool.cli.output import refuse_nowhere
from artschool.dataflow.html import html
from artschool.dataflow.mermaid import mermaid
from artschool.dataflow.model import Dataflow, dataflow
from artschool.dataflow.svg import svg
from artschool.engine.durable import write_file
from artschool.errors import ConfigError
from artschool.legacy.read import check_any

FORMATS: Mapping[str, Callable[[Dataflow], str]] = {".html": html, ".svg": svg, ".mmd": mermaid}


def graph_command(path: Path, overrides: Sequence[str], output: Path | None, *, traced: bool) -> None:
    """Draw the dataflow of a file: into a page, a picture, or as Mermaid's text, which is printed without a file."""
    if output is not None and output.suffix not in FORMATS:
        raise ConfigError(f"-o {output}: the name must end with one of {', '.join(FORMATS)}")
    if output is not None:
        refuse_nowhere("-o", output)
    config = check_any(path, overrides)
    shapes, evaluated = None, None
    if traced:
        from artschool.trace.trace import trace  # It takes a second.

        found = trace(config)
        shapes = {name: key.kind for name, key in found.keys.items()}
        evaluated = {name: {key.name: key.kind for key in keys.values()} for name, keys in found.evaluations.items()}
    drawn = dataflow(config, shapes, evaluated)
    if output is None:
        click.echo(mermaid(drawn), nl=False)
        return
    write_file(output, FORMATS[output.suffix](drawn).encode())
    click.echo(str(output))
