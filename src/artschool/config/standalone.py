"""The text of a composed file that stands alone, with the same meaning."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from artschool.config.paths import beside
from artschool.config.plugins import at_path, file_of, is_path
from artschool.config.source import Node
from artschool.config.write import dump


def standalone_text(tree: Node) -> str:
    """YAML text of a composed file, without `base`. Plugins are relative to the file; `${env:...}` is not replaced."""
    plain = _escaped(tree)
    plugins = tree.get("plugins")
    if plugins is not None and isinstance(plugins.value, list):
        folder = beside(Path(tree.place.source), "").resolve()
        plain["plugins"] = [_plugin(node, folder) for node in plugins.value]
    return dump(plain)


def _plugin(node: Node, folder: Path) -> Any:
    """A plugin as `folder` names it. A base or an override may name it otherwise."""
    name = str(node.value)
    if node.reference is not None or not is_path(name):
        return _escaped(node)
    return at_path(name, os.path.relpath(file_of(name, node.place), folder))


def _escaped(node: Node) -> Any:
    """Plain values. Text that contains `${` does not become a reference when it is read again."""
    if node.reference is not None:
        return node.reference
    if isinstance(node.value, dict):
        return {key: _escaped(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_escaped(child) for child in node.value]
    return node.value.replace("${", "$${") if isinstance(node.value, str) else node.value
