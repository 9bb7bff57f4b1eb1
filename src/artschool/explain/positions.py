"""From a line of a file to the path of what stands there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from artschool.config.source import KeyPath, Node
from artschool.errors import ConfigError, Fault, Place


@dataclass(frozen=True, order=True)
class _Mark:
    """Where something begins, by line, column and depth."""

    line: int
    column: int
    depth: int
    path: KeyPath


def path_at(tree: Node, file: Path, line: int, column: int | None = None, *, is_old: bool = False) -> KeyPath:
    """The path of what begins first on a line, or of what stands at a column of it.

    Args:
        tree: What is written in the file, places and all.
        is_old: Whether the tree is what a file of DL-Art-School means, so that not everything in it has a line there.

    Raises:
        ConfigError: Nothing stands there; the text says what is nearest.
    """
    marks = sorted(mark for mark in _marks(tree, ()) if mark.path)
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    written = lines[line - 1].strip() if 0 < line <= len(lines) else ""
    here = [mark for mark in marks if mark.line == line]
    if here and column is not None:
        return next((mark.path for mark in reversed(here) if mark.column <= column), here[0].path)
    if here:
        # What an old option became may begin together with what holds it.
        together = [mark for mark in here if mark.column == here[0].column]
        return next((mark.path for mark in together if written.startswith(f"{mark.path[-1]}:")), together[0].path)
    before = [mark for mark in marks if mark.line < line]
    is_text = bool(written) and not written.startswith("#")
    if is_text and before and not is_old:
        return before[-1].path  # It began above and goes on here.
    if not 0 < line <= len(lines):
        what = f"there is no line {line}; the file has {len(lines)}"
    elif is_text:
        what = f"what line {line} says stands nowhere in our language, see `artschool convert`"
    else:
        what = f"line {line} is {'a comment' if written else 'empty'}"
    after = next((mark for mark in marks if mark.line > line), None)
    nearest = after or (before[-1] if before else None)
    if nearest is not None:
        first = next(mark for mark in marks if mark.line == nearest.line)
        what += f"; line {first.line} is {'.'.join(first.path)}"
    raise ConfigError(Fault(Place(str(file)), "", what))


def _marks(node: Node, path: KeyPath, source: str | None = None) -> Iterator[_Mark]:
    source = source or node.place.source
    place = node.start  # A mapping without its key begins where its first key does.
    if place.source == source and place.line:
        yield _Mark(place.line, place.column, len(path), path)
    if isinstance(node.value, dict):
        for name, child in node.value.items():
            yield from _marks(child, (*path, name), source)
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from _marks(child, (*path, str(index)), source)
