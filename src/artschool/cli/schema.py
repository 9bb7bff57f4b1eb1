"""`artschool schema`."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from artschool.cli.output import check_output
from artschool.components.builtins import load_builtins
from artschool.config.compose import resolve_bases
from artschool.config.plugins import load_installed, load_listed
from artschool.config.source import Node, read_file, read_text
from artschool.errors import ConfigError
from artschool.faults import Fault, Place
from artschool.legacy.convert import is_legacy
from artschool.paths import is_file
from artschool.read.read import read_config
from artschool.schema import json_schema, names_of
from artschool.storage.durable import committed_file, write_bytes, write_file

MODELINE = re.compile(rb"^#\s+(?:yaml-language-server\s*:|\$schema:).*$", re.MULTILINE)
"""The comment by which a file names its schema to a language server."""
STANDARD_OUTPUT = Path("-")
HEADER = re.compile(rb"(?:[ \t]*(?:#.*|---.*|%.*)?\r?\n)*")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def schema_command(path: Path | None, output: Path | None) -> None:
    """Write the schema of a file next to it, and name it in the first line of the file.

    Without a file, print the schema of the built-in components.
    """
    load_builtins()
    load_installed()
    if path is None:
        _write(output if output != STANDARD_OUTPUT else None, json_schema())
        return
    sections = _sections(path)
    tree = _with_plugins(path, sections)
    schema = json_schema(names_of(tree), base=_base(path, sections))
    if output is not None:
        _write(output if output != STANDARD_OUTPUT else None, schema)
        return
    output = path.with_name(f"{path.stem}.schema.json")
    _write(output, schema)
    click.echo(f"{path}: {_name_schema(path, output.name)}")


def _write(output: Path | None, schema: dict[str, Any]) -> None:
    text = json.dumps(schema, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    check_output("-o", output)
    write_file(output, text.encode())
    click.echo(f"{output}: wrote {len(text.encode()):,} bytes")


def _name_schema(path: Path, name: str) -> str:
    """Insert a first line that names the schema, unless the file names one. The rest of the file stays unchanged."""
    data = path.read_bytes()
    mark = BYTE_ORDER_MARK if data.startswith(BYTE_ORDER_MARK) else b""
    rest = data.removeprefix(mark)
    header = HEADER.match(rest)
    if header is not None and (line := MODELINE.search(header[0])) is not None:
        return f"already names a schema: {line[0].decode(errors='replace').strip()}"
    first = f"# yaml-language-server: $schema={quote(name)}"
    end = b"\r\n" if b"\r\n" in rest else b"\n"
    real = Path(os.path.realpath(path))  # A link to the file stays one.
    with committed_file(real) as temporary:
        write_bytes(temporary, mark + first.encode() + end + rest)
        shutil.copymode(real, temporary)
    return f"added the line {first}"


def _sections(path: Path) -> Node:
    """The sections of a file. Of a file that is not valid YAML, the sections that are valid by themselves."""
    try:
        tree = read_file(path)
    except ConfigError:
        if not is_file(path):
            raise
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
        starts = [match.start() for match in re.finditer(r"^\w+:", text, re.MULTILINE)]
        sections: dict[str, Node] = {}
        for start, end in pairwise([*starts, len(text)]):
            before = "\n" * text.count("\n", 0, start)  # Keeps the line numbers.
            with suppress(ConfigError):
                node = read_text(before + text[start:end], str(path))
                sections |= node.value if isinstance(node.value, dict) else {}
        tree = Node(sections, Place(str(path)))
    if is_legacy(tree):
        message, hint = (
            "is a DL-Art-School file, which has no schema",
            "Fix: convert it with `artschool convert`.",
        )
        raise ConfigError(Fault(tree.place, "", message, hint))
    return tree


def _with_plugins(path: Path, sections: Node) -> Node:
    """The composed file, or its sections if it has faults. Imports its plugins and warns of those that fail."""
    tree = sections
    with suppress(ConfigError):
        tree = resolve_bases(sections, path)
        tree = read_config(path)[0]
    for fault in load_listed(tree):
        click.echo(f"warning: {fault}", err=True)
    return tree


def _base(path: Path, sections: Node) -> Node | None:
    """The content of the `base` of a file, empty where it has faults; None without a base."""
    base = sections.get("base")
    if base is None:
        return None
    with suppress(ConfigError):
        return resolve_bases(replace(sections, value={"base": base}), path)
    return Node({}, base.place)
