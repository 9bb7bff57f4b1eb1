"""Templates and recipes register under names that recipes in other folders may have registered before."""

from __future__ import annotations

import pytest

from artschool.registry import REGISTRIES


@pytest.fixture
def no_plugins(registries: None) -> None:
    """Begin without the components of plugin files."""
    for registry in REGISTRIES.values():
        registry.forget("artschool_plugin_")
