"""Places of a file, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

Keys = tuple[str | int, ...]
Draw = Callable[[st.SearchStrategy[Any]], Any]


def walk(tree: Any, path: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Every value below the root with its path."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key), value
        yield from walk(value, (*path, key))


def parent(tree: Any, path: Keys) -> Any:
    """What holds the value at a path."""
    for key in path[:-1]:
        tree = tree[key]
    return tree


def choose(draw: Draw, tree: Any, fits: Callable[[Keys, Any], bool]) -> tuple[Keys, Any]:
    """A place of the file that fits; none is no mutant."""
    found = [(path, value) for path, value in walk(tree) if path[0] not in ("name", "plugins") and fits(path, value)]
    assume(found)
    chosen: tuple[Keys, Any] = draw(st.sampled_from(found))
    return chosen


def section(tree: Any, name: str) -> Any:
    """A section of the file; another change may have taken it, and then there is no mutant."""
    section = tree.get(name)
    assume(isinstance(section, dict) and section)
    return section


def at(path: Keys) -> str:
    return ".".join(map(str, path))
