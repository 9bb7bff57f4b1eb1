"""Each sentence of the importer about the reference has its source."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import artschool.legacy
from artschool.config.source import Node
from artschool.legacy.datasets import convert_datasets
from artschool.legacy.rules import Notes
from artschool.legacy.steps import convert_steps
from tests.legacy.old_text import node

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
        assert source.partition(":")[0].endswith((".py", ".md")), sentence


@pytest.mark.parametrize(
    ("convert", "text", "expected"),
    [
        (
            convert_datasets,
            "datasets: {a: {mode: fullimage, dataroot_GT: x, scale: 1, fixed_size: true}}",
            "fixed_size: is dropped: yields whole images",
        ),
        (
            convert_datasets,
            "datasets: {a: {mode: multiscale, paths: x, hq_tile_size: 8, num_scales: 2, random_seed: 1}}",
            "random_seed: is dropped: all random numbers depend on `seed`",
        ),
        (
            convert_datasets,
            "datasets: {a: {mode: torch_dataset, dataset: mnist, datapath: x, image_size: 32}}",
            "image_size: 'image_size' of the reference's data set 'torch_dataset' has no counterpart",
        ),
        (
            convert_steps,
            "steps: {a: {training: g, min_total_loss: 2}}",
            "min_total_loss: 'min_total_loss' of the reference's steps has no counterpart",
        ),
    ],
)
def test_what_the_reference_read_is_not_called_unknown(
    convert: Callable[[Node, Notes], object], text: str, expected: str
) -> None:
    notes = Notes()
    convert(node(text), notes)
    said = [f"{fault.path}: {fault.message}" for fault in (*notes.faults, *notes.warnings)]
    assert any(expected in line for line in said), said
    assert not any("no known option" in line for line in said), said
