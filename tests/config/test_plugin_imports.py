"""Which modules belong to the project of a plugin."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from artschool.config.plugin_imports import imported_files


def add(monkeypatch: pytest.MonkeyPatch, name: str, file: Path) -> None:
    module = ModuleType(name)
    module.__file__ = str(file)
    monkeypatch.setitem(sys.modules, name, module)


def test_files_that_cannot_be_asked_about_or_read_are_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin_of_imports.py"
    plugin.write_text("import gone_of_imports, broken_of_imports, torch, json, artschool\n")
    (tmp_path / "broken.py").write_text("def\n")
    add(monkeypatch, "plugin_of_imports", plugin)
    add(monkeypatch, "gone_of_imports", tmp_path / "gone.py")
    add(monkeypatch, "broken_of_imports", tmp_path / "broken.py")
    add(monkeypatch, "odd_of_imports", tmp_path / f"{'n' * 300}.py")
    found = imported_files([plugin])
    assert found == {"broken_of_imports": tmp_path / "broken.py", "gone_of_imports": tmp_path / "gone.py"}
