"""What a path leads to: nothing is hidden, whatever the version of Python."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

import artschool
from artschool.paths import exists, is_dir, is_file

SOURCES = sorted(Path(artschool.__file__).parent.rglob("*.py"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "broken").symlink_to("nothing")
    (tmp_path / "circle").symlink_to("circle")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "leads_to"),
    [
        ("folder", "folder"), ("file", "file"), ("link", "file"), ("broken", ""), ("circle", ""), ("nothing", ""),
        ("file/below", ""), ("zero\0byte", ""),
    ],
)  # fmt: skip
def test_what_a_path_leads_to(folder: Path, name: str, leads_to: str) -> None:
    path = folder / name
    assert (exists(path), is_file(path), is_dir(path)) == (bool(leads_to), leads_to == "file", leads_to == "folder")


@pytest.mark.parametrize("function", [exists, is_file, is_dir])
def test_what_nobody_knows_is_an_error(tmp_path: Path, function: Callable[[Path], bool]) -> None:
    with pytest.raises(OSError, match="File name too long"):
        function(tmp_path / ("n" * 300))


@pytest.mark.parametrize("file", SOURCES, ids=lambda path: path.name)
def test_no_source_asks_a_path_itself(file: Path) -> None:
    """The methods of `os.DirEntry` hide nothing, and `os.path` has a rule of the linter."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in ("exists", "is_file", "is_dir"):
            assert ast.unparse(node.value) in ("entry", "os.path"), f"{file}:{node.lineno}: use artschool.paths"
