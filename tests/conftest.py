"""Lets tests import the modules beside them, such as toys, and register components for a while."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from artschool.registry import REGISTRIES, load_builtins

sys.path += [
    str(Path(__file__).parent / folder) for folder in (".", "components", "config", "engine", "legacy", "lint")
]


@pytest.fixture
def registries() -> Iterator[None]:
    """Forget afterwards what a test registers."""
    load_builtins()
    before = {name: dict(registry._items) for name, registry in REGISTRIES.items()}
    yield
    for name, registry in REGISTRIES.items():
        registry._items = before[name]
