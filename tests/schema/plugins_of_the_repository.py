"""The components of recipes and pages, whatever other tests have registered or imported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artschool.components.builtins import load_builtins
from artschool.registry import REGISTRIES

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
RECIPES = sorted((ROOT / "recipes").rglob("*.yml"))


@contextmanager
def only_what_ships() -> Iterator[None]:
    """Registries without what tests have registered; afterwards they are as they were."""
    load_builtins()
    before = {name: registry._items for name, registry in REGISTRIES.items()}
    for name, registry in REGISTRIES.items():
        shipped = ("artschool.components.", "torch.")
        registry._items = {n: i for n, i in before[name].items() if i.target.__module__.startswith(shipped)}
    try:
        yield
    finally:
        for name, registry in REGISTRIES.items():
            registry._items = before[name]


def register_all() -> None:
    """Register what the recipes' plugins and the pages' examples define."""
    plugins = [path.read_text() for path in sorted((ROOT / "recipes").glob("*.py"))]
    examples = [code for page in PAGES for code in blocks(page, "python")]
    for code in [*plugins, *examples]:
        if ".register" in code:
            exec(compile(code, "plugin", "exec"), {"__name__": "plugin"})


def blocks(page: Path, language: str) -> list[str]:
    """The code of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
