"""A page for each recipe: its file, and the plugins beside it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml


def pages(folder: Path) -> dict[str, str]:
    """File name to text."""
    return {f"{path.stem}.md": _page(path) for path in sorted(folder.glob("*.yml"))}


def _page(path: Path) -> str:
    text = path.read_text()
    tree = yaml.safe_load(re.sub(r"\$\{[^}]*\}", "null", text))
    parts = [f"# {path.stem}\n\n`artschool train recipes/{path.name}` trains it.\n\n```yaml\n{text}```\n"]
    for plugin in tree.get("plugins", []):
        code = (path.parent / plugin).read_text()
        parts.append(f"## {plugin}\n\n```python\n{code}```\n")
    return "\n".join(parts)


def index(pages: dict[str, str]) -> str:
    """The list of recipes."""
    listed = "\n".join(f"- [{name.removesuffix('.md')}]({name})" for name in pages)
    return f"# Recipes\n\nComplete files that train for real in minutes on two cores.\n\n{listed}\n"
