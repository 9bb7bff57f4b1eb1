"""Writes a converted file as YAML text, with a comment at each value whose meaning has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from artschool.config.source import Node
from artschool.config.write import dump
from artschool.faults import Fault, Place
from artschool.legacy.rules import Notes

Comments = dict[tuple[str, ...], list[str]]


def written(tree: Node, notes: Notes) -> str:
    """The text of a converted tree. Notes on dropped values come first."""
    paths: dict[Place, tuple[str, ...]] = {}
    for path, node in _walk(tree, ()):
        for place in (node.key_place, node.place):
            if place is not None:
                paths.setdefault(place, path)
    head, comments = [f"Converted from {Path(tree.place.source).name}."], Comments()
    marked = [(fault, "NOT CONVERTED ") for fault in notes.faults] + [
        (fault, "") for fault in (*notes.warnings, *notes.remarks)
    ]
    for fault, mark in sorted(marked, key=lambda pair: (pair[0].place.line, pair[0].place.column)):
        path = paths.get(fault.place, ())
        lines = comments.setdefault(path, []) if path else head
        lines += _lines(fault, mark)
    return "".join(f"# {line}\n" for line in head) + dump(tree.plain(), comments)


def _walk(node: Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Node]]:
    """The nodes below mappings, innermost first, so that a location refers to the smallest value there."""
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from _walk(child, (*path, key))
    elif isinstance(node.value, list):
        for child in node.value:
            for _, inner in _walk(child, path):
                yield path, inner
    if path:
        yield path, node


def _lines(fault: Fault, mark: str) -> list[str]:
    return [f"{mark}line {fault.place.line}: {fault.path}: {fault.message}", *fault.hint.splitlines()]
