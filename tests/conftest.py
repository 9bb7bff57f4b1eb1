"""Lets tests import the modules beside them, such as toys, and register components for a while."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from artschool.registry import REGISTRIES, load_builtins

sys.path += [
    str(Path(__file__).parent / folder) for folder in (".", "components", "config", "engine", "legacy", "trace")
]


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
