"""Each sentence of the importer about the reference has its source, or is marked as not compared with the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import artschool.legacy

CLAIMS = Path(__file__).parent / "claims.txt"


def sentences() -> set[str]:
    """The texts of the importer that mention the reference, with `{}` for what they fill in."""
    folder = Path(artschool.legacy.__file__).parent
    return {text for file in folder.glob("*.py") for text in _texts(ast.parse(file.read_text()))}


def _texts(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue  # A docstring.
        text = _text(child)
        if text is None:
            yield from _texts(child)
        elif "the reference" in text or "DL-Art-School" in text:
            yield text


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)  # type: ignore[misc]  # text
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def claims() -> dict[str, str]:
    """The sentences of the list, with where each was read."""
    entries = CLAIMS.read_text().strip().split("\n\n")
    return dict(entry.split("\n    ", 1) for entry in entries if not entry.startswith("#"))


def test_each_sentence_has_its_source() -> None:
    listed = claims()
    assert sentences() - listed.keys() == set(), "add them to claims.txt, with the file and function that say so"
    assert listed.keys() - sentences() == set(), "the importer no longer says them"
    for sentence, source in listed.items():
        assert source.removeprefix("not read: ").partition(":")[0].endswith((".py", ".md")), sentence
