"""A plugin file is one module, whoever imports it, and under whichever name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from artschool.config.plugins import forget_files, load_listed, load_plugin
from artschool.config.source import read_text
from artschool.errors import ConfigError
from artschool.faults import Place

SHARED = """
from torch import nn
import artschool

@artschool.networks.register
class SharedPart(nn.Module):
    pass
"""
USER = """
import artschool
from shared_parts import SharedPart

@artschool.networks.register
class UserPart(SharedPart):
    pass
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registries: None) -> Iterator[Path]:
    (tmp_path / "shared_parts.py").write_text(SHARED)
    (tmp_path / "user_parts.py").write_text(USER)
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    monkeypatch.setattr(sys, "path", list(sys.path))
    importlib.invalidate_caches()
    yield tmp_path
    forget_files()
    sys.modules.pop("shared_parts", None)


def bases(folder: Path, *files: str) -> list[type]:
    """Import plugin files. Returns the base class in `user_parts.py`, and the class in `shared_parts.py`."""
    for file in files:
        load_plugin(str(folder / file), Place("test"), "plugins")
    own = next(vars(module) for module in sys.modules.values() if "UserPart" in vars(module))
    return [own["UserPart"].__base__, importlib.import_module("shared_parts").SharedPart]


@pytest.mark.parametrize("files", [("shared_parts.py", "user_parts.py"), ("user_parts.py", "shared_parts.py")])
@pytest.mark.parametrize("path", ["", "link"])
def test_a_plugin_that_another_one_imports_is_one_module(folder: Path, files: tuple[str, str], path: str) -> None:
    sys.path.insert(0, str(folder / path))
    used, listed = bases(folder, *files)
    assert used is listed


def test_a_plugin_finds_one_that_is_listed_before(folder: Path) -> None:
    used, listed = bases(folder, "shared_parts.py", "user_parts.py")
    assert used is listed


def test_a_plugin_does_not_find_one_that_is_listed_later(folder: Path) -> None:
    with pytest.raises(ConfigError, match="raised ModuleNotFoundError: No module named 'shared_parts'"):
        bases(folder, "user_parts.py", "shared_parts.py")


def test_a_plugin_does_not_find_that_of_another_file(folder: Path) -> None:
    load_listed(read_text("plugins: [shared_parts.py]", str(folder / "one.yml")))
    assert load_listed(read_text("plugins: [shared_parts.py, user_parts.py]", str(folder / "two.yml"))) == []
    forget_files()
    load_listed(read_text("plugins: [shared_parts.py]", str(folder / "one.yml")))
    (fault,) = load_listed(read_text("plugins: [user_parts.py]", str(folder / "three.yml")))
    assert "No module named 'shared_parts'" in fault.message


def test_two_plugins_of_one_name_are_not_confused(folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "shared_parts.py").write_text("")
    with pytest.raises(ConfigError, match="raised ModuleNotFoundError: No module named 'shared_parts'"):
        bases(folder, "shared_parts.py", "other/shared_parts.py", "user_parts.py")


def test_an_imported_plugin_keeps_its_name(folder: Path) -> None:
    sys.path.insert(0, str(folder))
    bases(folder, "shared_parts.py", "user_parts.py")
    module = sys.modules["shared_parts"]
    assert module.__spec__ is not None
    assert module.__name__ == module.__spec__.name == module.SharedPart.__module__ != "shared_parts"
    forget_files()
    assert "shared_parts" not in sys.modules


def test_another_file_of_the_same_name_is_another_module(folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "shared_parts.py").write_text("SharedPart = object")
    sys.path.insert(0, str(other))
    assert bases(folder, "shared_parts.py", "user_parts.py") == [object, object]


def test_a_plugin_that_fails_is_not_taken_for_imported(folder: Path) -> None:
    sys.path.insert(0, str(folder))
    (folder / "shared_parts.py").write_text("raise ValueError")
    with pytest.raises(ConfigError):
        load_plugin(str(folder / "shared_parts.py"), Place("test"), "plugins")
    with pytest.raises(ConfigError, match="raised ValueError"):
        load_plugin(str(folder / "user_parts.py"), Place("test"), "plugins")
