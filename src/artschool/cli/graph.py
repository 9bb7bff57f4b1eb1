"""`artschool graph`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from artschool.cli.output import check_output
from artschool.errors import ConfigError
from artschool.graph.html import html
from artschool.graph.mermaid import mermaid
from artschool.graph.model import Dataflow, dataflow
from artschool.graph.svg import svg
from artschool.read.read import check_file
from artschool.storage.durable import write_file
from artschool.wording.hidden import without_hidden

FORMATS: Mapping[str, Callable[[Dataflow], str]] = {".html": html, ".svg": svg, ".mmd": mermaid}


def graph_command(path: Path, overrides: Sequence[str], output: Path | None, *, traced: bool) -> None:
    """Write the dataflow of a file as a page, a drawing or Mermaid text. Without `output`, print Mermaid text."""
    if output is not None and output.suffix not in FORMATS:
        raise ConfigError(f"-o {output}: unknown suffix (expected {' or '.join(FORMATS)})")
    if output is not None:
        check_output("-o", output)
    config = check_file(path, overrides)
    shapes, evaluated, own = None, None, None
    if traced:
        from artschool.trace.trace import trace  # This import takes a second.

        found = trace(config)
        shapes = {name: key.kind for name, key in found.keys.items()}
        evaluated, own = (
            {name: {key.name: key.kind for key in keys.values()} for name, keys in each.items()}
            for each in (found.evaluations, found.steps)
        )
    drawn = dataflow(config, shapes, evaluated, own)
    if output is None:
        click.echo(mermaid(drawn), nl=False)
        return
    write_file(output, without_hidden(FORMATS[output.suffix](drawn)).encode())
    click.echo(str(output))
