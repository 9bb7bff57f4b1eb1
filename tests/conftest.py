"""A corpus of speech for the tests that need one, and registries that forget what a test registers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis  # noqa: F401  # Later, with a frozen garbage collector, its import warns, which is an error.
import pytest

from artschool.components.builtins import load_builtins
from artschool.registry import REGISTRIES
from tests.no_skips import pytest_make_collect_report, pytest_runtest_makereport
from tests.speech import make_corpus

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]  # Hooks.


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the scripts of recipes make, only less of it."""
    folder: Path = tmp_path_factory.mktemp("corpus")
    make_corpus(folder)
    return folder


@pytest.fixture
def beside_the_corpus(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where the recipes find their corpus."""
    monkeypatch.chdir(corpus)


@pytest.fixture
def registries() -> Iterator[None]:
    """Forget afterwards what a test registers, and the plugins that did it, so that they can be imported again."""
    load_builtins()
    before = {name: dict(registry._items) for name, registry in REGISTRIES.items()}
    imported = set(sys.modules)
    yield
    for name in sys.modules.keys() - imported:
        if name.startswith("artschool_plugin_"):
            del sys.modules[name]
    for name, registry in REGISTRIES.items():
        registry._items = before[name]
