"""Every mistake in the tables is refused before anything starts, at its place and in words; every recipe is not."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from artschool.cli.main import main
from tests.broken import wrong_parts  # noqa: F401  # registers its components
from tests.broken.corpus import RECIPES, TABLES, Case, read_cases
from tests.speech import make_corpus

CASES = [case for table in TABLES for case in read_cases(table)]


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the recipes, and weights of a digit_judge. What plugins register they register once: they are links."""
    folder: Path = tmp_path_factory.mktemp("recipes")
    make_corpus(folder)
    for file in RECIPES.iterdir():
        if file.suffix == ".yml":
            shutil.copy(file, folder)
        elif file.suffix == ".py":
            (folder / file.name).symlink_to(file)
    sizes = {"0.weight": (32, 1, 3, 3), "0.bias": (32,), "2.weight": (64, 32, 3, 3), "2.bias": (64,)}
    sizes |= {"6.weight": (10, 1024), "6.bias": (10,)}
    tensors = {f"judge.layers.{name}": torch.zeros(size) for name, size in sizes.items()}
    save_file(tensors, folder / "trained.safetensors")
    return folder


def check(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *overrides: str
) -> tuple[object, str]:
    """The exit code of the command, and what it says to whoever made a mistake."""
    monkeypatch.setattr(sys, "argv", ["artschool", "check", "--trace", file, *overrides])
    code: object = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code
    return code, capsys.readouterr().err


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.recipe}-{case.title}".replace(" ", "_"))
def test_a_mistake_is_refused(
    case: Case, recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(recipes)
    original = Path(case.name).read_text()
    Path(case.name).write_text(case.text())
    before = sorted(recipes.rglob("*"))
    try:
        code, says = check(case.name, monkeypatch, capsys, *([case.override] if case.override else []))
    finally:
        Path(case.name).write_text(original)
    assert case.expected().fullmatch(says), f"{case.expected().pattern}\n{says}"
    assert code == case.code
    assert sorted(recipes.rglob("*")) == before


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.yml")), ids=lambda recipe: recipe.stem)
def test_no_recipe_is_refused(
    recipe: Path, recipes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(recipes)
    assert check(recipe.name, monkeypatch, capsys) == (0, "")


def test_there_are_at_least_ten_cases_of_at_least_twelve_kinds() -> None:
    kinds = Counter(case.kind for case in CASES)
    assert len(kinds) >= 12 and min(kinds.values()) >= 10 and len(CASES) >= 120
    assert len({(case.recipe, case.text(), case.override) for case in CASES}) == len(CASES)
