"""Find the path of the value at a line of a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from artschool.config.source import KeyPath, Node
from artschool.errors import ConfigError
from artschool.faults import Fault, Place


@dataclass(frozen=True, order=True)
class _Start:
    """The position at which the value at a path begins."""

    line: int
    column: int
    depth: int
    path: KeyPath


def path_at(tree: Node, file: Path, line: int, column: int | None = None, *, is_old: bool = False) -> KeyPath:
    """The path of the first value that begins on a line, or of the value at a column.

    Args:
        tree: The file as written, with locations.
        is_old: Whether the tree was converted from a DL-Art-School file, in which some lines have no counterpart.

    Raises:
        ConfigError: The line has no value. The text names the nearest one.
    """
    starts = sorted(start for start in _starts(tree, ()) if start.path)
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    written = lines[line - 1].strip() if 0 < line <= len(lines) else ""
    here = [start for start in starts if start.line == line]
    if here and column is not None:
        return next((start.path for start in reversed(here) if start.column <= column), here[0].path)
    if here:
        # A converted option may begin at the same position as the mapping around it.
        together = [start for start in here if start.column == here[0].column]
        return next((start.path for start in together if written.startswith(f"{start.path[-1]}:")), together[0].path)
    before = [start for start in starts if start.line < line]
    is_text = bool(written) and not written.startswith("#")
    if is_text and before and not is_old:
        return before[-1].path  # The value begins above and continues on this line.
    if not 0 < line <= len(lines):
        problem = f"line {line} does not exist; the file has {len(lines)} lines"
    elif is_text:
        problem = f"line {line} has no counterpart in artschool's language; `artschool convert` shows the conversion"
    else:
        problem = f"line {line} is {'a comment' if written else 'empty'}"
    after = next((start for start in starts if start.line > line), None)
    nearest = after or (before[-1] if before else None)
    if nearest is not None:
        first = next(start for start in starts if start.line == nearest.line)
        problem += f"; line {first.line} is {'.'.join(first.path)}"
    raise ConfigError(Fault(Place(str(file)), "", problem))


def _starts(node: Node, path: KeyPath, source: str | None = None) -> Iterator[_Start]:
    source = source or node.place.source
    place = node.start  # A mapping begins at its key, or at its first entry.
    if place.source == source and place.line:
        yield _Start(place.line, place.column, len(path), path)
    if isinstance(node.value, dict):
        for name, child in node.value.items():
            yield from _starts(child, (*path, name), source)
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from _starts(child, (*path, str(index)), source)
