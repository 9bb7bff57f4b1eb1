"""Recipes and pages: what is found there has a comment that says why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from artschool.components.builtins import load_builtins
from artschool.lint import Subject, lint
from artschool.read.read import check_file

load_builtins()
ROOT = Path(__file__).parents[2]
PAGES = [
    (page.name, text)
    for page in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
    for text in re.findall(r"^```yaml\n(name:.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    if "plugins:" not in text
]


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("**/*.yml")), ids=lambda path: path.stem)
def test_nothing_is_found_in_a_recipe(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VGG19", "vgg19.pth")
    monkeypatch.chdir(ROOT)
    assert [str(finding) for finding in lint(Subject(check_file(recipe)))] == []


@pytest.mark.parametrize(("page", "text"), PAGES, ids=[f"{page}-{index}" for index, (page, _) in enumerate(PAGES)])
def test_nothing_is_found_in_a_file_of_a_page(page: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "file.yml").write_text(text)
    assert [str(finding) for finding in lint(Subject(check_file(tmp_path / "file.yml")))] == []


def test_a_loss_inside_another_one_is_judged_as_well() -> None:
    config = check_file(ROOT / "recipes" / "video_sr.yml", ["steps.gen.losses.temporal.loss.kind=lsgan"])
    (finding,) = lint(Subject(config))
    assert (finding.rule, finding.fault.path) == ("mismatched-game", "steps.gen.losses.temporal.loss.kind")
