"""The registries without what pages and tests have registered."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def shipped_only() -> Iterator[None]:
    """Within, the registries hold what ships; afterwards, what they held before."""
    from artschool.components.builtins import load_builtins
    from artschool.registry import REGISTRIES

    load_builtins()
    before = {kind: dict(registry._items) for kind, registry in REGISTRIES.items()}
    imported = set(sys.modules)
    for registry in REGISTRIES.values():
        registry._items = {
            name: item
            for name, item in registry._items.items()
            if item.target.__module__.startswith(("artschool.components.", "torch."))
        }
    try:
        yield
    finally:
        for name in sys.modules.keys() - imported:
            if name.startswith("artschool_plugin_"):
                del sys.modules[name]
        for kind, registry in REGISTRIES.items():
            registry._items = before[kind]
