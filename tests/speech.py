"""A tiny corpus of speech, made by the recipes' own script."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

RECIPES = Path(__file__).parents[1] / "recipes"


def script() -> ModuleType:
    """recipes/speech_corpus.py as a module."""
    spec = importlib.util.spec_from_file_location("speech_corpus", RECIPES / "speech_corpus.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_corpus(folder: Path, train: int = 16, val: int = 2) -> float:
    """Make `data/speech` below a folder; returns its seconds."""
    seconds: float = script().make(folder / "data" / "speech", train, val)
    return seconds
